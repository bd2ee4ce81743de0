"""Checks the names of the code: `python -m tests.names`, a part of `make check`.

A module's name stands once, a class's name stands once, a module has at most 300 lines, a constructor takes at most
five collaborators, a test's name has at most 70 characters, and no identifier uses a word that the field has another
word for.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ROOT / "controller"
TESTS = ROOT / "tests"
MAX_LINES = 300
MAX_COLLABORATORS = 5
MAX_TEST_NAME = 70
BUILDS = ("app",)
"""Rooms that put things together, and so may be handed more."""
WORDS = {
    r"LONGEST_|MOST_|LARGEST_|SHORTEST_|PATIENCE|_PAUSE": "MAX_…, MIN_…, …_TIMEOUT, …_INTERVAL",
    r"(?<![a-z])(tell|told|Tell|Told)(?![a-z])": "make_event, apply, report, text",
    r"(?<![a-z])(story|stories|Story)(?![a-z])": "DrainRecord, record",
    r"Noticeboard|noticeboard|(?<![a-z])[Nn]otices?(?![a-z])": "EventRecorder, KubernetesEvent",
    r"Urgency|(?<![a-z])lull(?![a-z])|let_first": "PriorityGate",
    r"Succession|hand_over|handing_over|HAND_OVER": "takeover",
    r"(?<![a-z])Taken(?![a-z]|Over)|taken_lately": "HeldInstance, RecentTakeOuts",
    r"(?<![a-z])(asker|Asker|wish|Wish)(?![a-z])": "Requester, request",
    r"(?<![a-z])(mend|Mend)(?![a-z])|(?<![a-z])Grade(?![a-z])": "fix, Severity",
    r"(?<![a-z])([Hh]ints?|HintError)(?![a-z])": "annotations",
    r"(?<![a-z])(Course|course)(?![a-z])": "lifecycle",
    r"Admissions|SigningIn|(?<![a-z])Gate(?![a-z])": "decision_cache, session, authorizer",
    r"(?<![a-z])(Leave|leave_of|stays_of|StayPod|judging|Judging)(?![a-z])": "shutdown",
}
"""What the glossary replaces, by pattern, with the word to use."""


def main() -> int:
    """Print each finding as ``file:line: text``; the status is 1 when there is one."""
    findings = [*_modules(), *_classes(), *_constructors(), *_tests(), *_words()]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _files(folder: Path = CODE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _where(file: Path, line: int = 1) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def _modules() -> Iterator[str]:
    named: defaultdict[str, list[Path]] = defaultdict(list)
    for file in _files():
        lines = len(file.read_text().splitlines())
        if lines > MAX_LINES:
            yield f"{_where(file)}: {lines} lines, more than {MAX_LINES}: it has more than one purpose"
        if not file.name.startswith("__"):
            named[file.name].append(file)
    for name, files in named.items():
        for file in files[1:]:
            yield f"{_where(file)}: {files[0].relative_to(ROOT)} is also called {name}"


def _classes() -> Iterator[str]:
    known: dict[str, str] = {}
    for file in _files():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                here = _where(file, node.lineno)
                if node.name in known:
                    yield f"{here}: {known[node.name]} is also called {node.name}"
                known.setdefault(node.name, here)


def _constructors() -> Iterator[str]:
    for file in _files():
        if file.relative_to(CODE).parts[0] in BUILDS:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                count = len(node.args.args) + len(node.args.kwonlyargs) - 1
                if count > MAX_COLLABORATORS:
                    here = _where(file, node.lineno)
                    yield f"{here}: a constructor that takes {count}, more than {MAX_COLLABORATORS}"


def _tests() -> Iterator[str]:
    for file in _files(TESTS):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                length = len(node.name)
                if length > MAX_TEST_NAME:
                    yield f"{_where(file, node.lineno)}: {node.name}: {length} characters, more than {MAX_TEST_NAME}"


def _words() -> Iterator[str]:
    patterns = [(re.compile(pattern), instead) for pattern, instead in WORDS.items()]
    for file in _files():
        for name, line in _identifiers(ast.parse(file.read_text())):
            for pattern, instead in patterns:
                if pattern.search(name):
                    yield f"{_where(file, line)}: {name}: say {instead}"


def _identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)):
                yield name, node.lineno
            case _:
                pass


if __name__ == "__main__":
    sys.exit(main())
