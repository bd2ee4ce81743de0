"""What the tests start by name is what the README asks for; and `.ci/run` starts them with nothing else at hand."""

import ast
import gc
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.stack import prerequisites
from tests.stack.prerequisites import Prerequisite

ROOT = Path(__file__).parents[2]
OURS = {name: one for name, one in vars(prerequisites).items() if isinstance(one, Prerequisite)}
ON_EVERY_LINUX = {"sh", "bash", "ldd", "setpriv", "unshare", "nsenter"}
BROUGHT_ALONG = {"epmd", "pause"}
"""By RabbitMQ, and built by us."""
STARTING = dict.fromkeys(("run", "Popen", "create_subprocess_exec", "output_of", "which", "execvpe"), 0)
STARTING |= {"Process": 1, "run_logged": 1}
"""What starts or looks for a program, and which of its arguments has the name."""

Values = Mapping[str, list[ast.expr]]


def asked_for() -> set[str]:
    """What the README says has to be there."""
    (paragraph,) = re.findall(r"^Prerequisites: .+?\n\n", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`]+)`", paragraph))


def started(source: str) -> set[str]:
    """The programs that a module starts or looks for, as far as their names stand in it."""
    tree = _parsed(source)
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            at = STARTING.get(name)
            # `run` of something of ours has a word, subprocess's a list.
            if at is not None and len(node.args) > at and not (name == "run" and _word(node.args[at])):
                found |= set(_programs(node.args[at], values))
    return found


def _parsed(source: str) -> ast.Module:
    # CPython 3.11 loses count of its depth when a collection runs Python code meanwhile, as a forgotten task's.
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()


def _programs(node: ast.expr, values: Values) -> Iterator[str]:
    match node:
        case ast.Constant() | ast.JoinedStr():
            yield from _word(node)
        case (
            ast.List(elts=[first, *_])
            | ast.Tuple(elts=[first, *_])
            | ast.Starred(value=first)
            | ast.Subscript(value=first)
            | ast.Call(func=ast.Attribute(attr="split"), args=[first, *_])
        ):
            yield from _programs(first, values)
        case ast.Name(id=name):
            for value in values.get(name, ()):
                yield from _programs(value, {**values, name: []})
        case _:
            pass


def _word(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str(text)) | ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text.split()[:1]
        case _:
            return []


def test_every_program_that_the_tests_start_is_in_the_readme() -> None:
    known = asked_for() | ON_EVERY_LINUX | BROUGHT_ALONG | {one.program for one in OURS.values()}
    unknown = {
        (word, str(file.relative_to(ROOT)))
        for file in (ROOT / "tests").rglob("*.py")
        if file != Path(prerequisites.__file__)
        for word in started(file.read_text()) - known
    }
    assert not unknown


@pytest.mark.parametrize("one", OURS.values(), ids=OURS.keys())
def test_the_readme_names_what_is_required(one: Prerequisite) -> None:
    assert (one.package or one.program) in asked_for()


@pytest.mark.parametrize(
    "source",
    [
        'shutil.which("uv")',
        'subprocess.run(["uv", "cache", "dir"], check=True)',
        'words = ["uv", *more]\nsubprocess.run(words)',
        'output_of(*("uv", "cache"))',
        'output_of(*shlex.split(f"uv {command}"))',
        'Process("a name", ["uv", "cache"])',
        'words = ["uv"]\nos.execvpe(words[0], words, env)',
    ],
)
def test_a_program_that_is_started_is_found(source: str) -> None:
    assert started(source) == {"uv"}


def test_the_uv_that_runs_the_tests_need_not_be_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("UV", "/project/.uv/bin/uv")
    assert prerequisites.uv() == "/project/.uv/bin/uv"
    monkeypatch.delenv("UV")
    with pytest.raises(prerequisites.MissingPrerequisiteError, match="uv run"):
        prerequisites.uv()


def test_continuous_integration_sees_only_programs_that_the_readme_names(tmp_path: Path) -> None:
    programs, config = tmp_path / ".local" / "bin", tmp_path / ".config" / "pip"
    for folder in (programs, config):
        folder.mkdir(parents=True)
    shutil.copy("/bin/true", programs / "uv")
    (config / "pip.conf").write_text("[global]\n")
    (tmp_path / "probe.mk").write_text(
        "probe:\n\t@env\n\t@echo CONFIG=$$(cd && find . -name pip.conf)\n\t@echo PYTHON=$$(python3 -c 'print(3)')\n"
    )
    path = f"{programs}:{os.environ['PATH']}"
    theirs = {"HOME": str(tmp_path), "PATH": path, "XDG_CACHE_HOME": "/cache", "XDG_CONFIG_HOME": "", "UV": "uv"}
    env = os.environ | theirs | {"TOKEN": "secret", "https_proxy": "http://127.0.0.1:9", "PIP_RETRIES": "a b"}
    command = [str(ROOT / ".ci" / "run"), f"--file={tmp_path / 'probe.mk'}", "probe"]
    output = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout
    seen = dict(line.split("=", 1) for line in output.splitlines())
    assert {"TOKEN", "UV"}.isdisjoint(seen)
    assert str(tmp_path) not in seen["PATH"] + seen["HOME"]
    assert not Path(seen["HOME"]).exists(), "removed at the end"
    assert (seen["https_proxy"], seen["PIP_RETRIES"]) == ("http://127.0.0.1:9", "a b")
    assert (seen["XDG_CACHE_HOME"], seen["CONFIG"]) == ("/cache", "./.config/pip/pip.conf")
    assert seen["PYTHON"] == "3"
