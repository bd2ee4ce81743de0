"""What the programs do that people write into preStop hooks: one command of a shell, or a whole exec hook.

A program that is not known here may take any time and may end the application: it cannot be judged, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from controller.domain.durations import MAX_DURATION
from controller.domain.shutdown.hook_course import EXITS, FOREVER, IMMEDIATE, MAX_DEPTH, HookCourse, failing, lost
from controller.domain.shutdown.words import Word

SILENT = {"true", ":", "echo", "printf"}
QUICK = {
    *("[", "awk", "basename", "cat", "cd", "chmod", "cp", "cut", "date", "dirname", "export", "false", "grep", "head"),
    *("hostname", "id", "jq", "logger", "ls", "mkdir", "mv", "pgrep", "pidof", "ps", "pwd", "rm", "sed", "set"),
    *("sort", "sync", "tee", "test", "touch", "tr", "ulimit", "umask", "uname", "unset", "wc", "whoami"),
}
"""They end at once, and change nothing about serving."""
HTTP_CLIENTS = {"curl", "wget"}
SIGNALLERS = {"kill", "pkill", "killall"}
SHELLS = {"sh", "bash", "ash", "dash", "ksh", "zsh"}
WRAPPERS = {"busybox", "command", "dumb-init", "env", "nice", "nohup", "sudo", "time", "tini", "xargs"}
"""They run what follows."""
_OPTIONS_WITH_VALUE = {"nice": "-n", "sudo": "-u", "env": "-u", "xargs": "-n"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_INTERVAL = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})([smhd]?)", re.ASCII)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_STOPS = re.compile(r"/shutdown\b")
MAX_PROGRAM_NAME_LENGTH = 60
_FOR_CALLERS = re.compile(r"(?<=://)[^/@\s]*@|[?#].*", re.DOTALL)
"""User and password, the query and the fragment."""
"""Characters of a program's name, or of an argument, that are told."""


def is_assignment(word: Word) -> bool:
    """Whether a shell takes it for ``NAME=value``."""
    return _ASSIGNMENT.fullmatch(word.text) is not None


def command_course(words: Sequence[Word], run_script: Callable[[str], HookCourse], depth: int = 0) -> HookCourse:
    """What one command does; ``run_script`` tells what a shell does with a text."""
    if depth > MAX_DEPTH:
        return lost("runs programs that run programs")
    if not words:
        return IMMEDIATE
    first, rest = words[0], words[1:]
    if first.expands:
        return lost("runs what a variable names")
    name = first.text.rpartition("/")[2]
    if name == "sleep":
        return _sleep(rest)
    if name in SILENT:
        return IMMEDIATE
    if name in HTTP_CLIENTS:
        stops = any(_STOPS.search(word.text) for word in rest)
        return HookCourse(acts=True, may_fail=True, over="it tells the application to shut down" if stops else "")
    if name in SIGNALLERS:
        probes = any(word.text == "-0" for word in rest)
        return HookCourse(acts=True, may_fail=True) if probes else HookCourse(acts=True, over=f"{name} ends a process")
    if name == "nginx" and any(word.text in ("quit", "stop") for word in rest):
        return HookCourse(acts=True, over="nginx is told to stop")
    if name in QUICK:
        return HookCourse(acts=True, may_fail=True)
    if name == "exit":
        return HookCourse(over=EXITS)
    if name == "exec":
        return command_course(rest, run_script, depth + 1).then(HookCourse(over=EXITS)) if rest else IMMEDIATE
    if name in WRAPPERS:
        return command_course(_wrapped(name, rest), run_script, depth + 1)
    if name == "timeout":
        return _timeout(rest, run_script, depth + 1)
    if name in SHELLS:
        return _shell(name, rest, run_script)
    if name == "wait":
        return lost("waits for what runs in the background")
    return lost(f"runs {printable_name(first.text)}")


def printable_name(text: str) -> str:
    """As much of a name as a person needs, and nothing that may be a secret: what a URL has for those who call it."""
    text = _FOR_CALLERS.sub("", text)
    return text if len(text) <= MAX_PROGRAM_NAME_LENGTH else f"{text[:MAX_PROGRAM_NAME_LENGTH]}…"


def interval(text: str) -> float | None:
    """Seconds, as GNU's and BusyBox' sleep read them; None for what they refuse."""
    if text.lower() in ("inf", "infinity"):
        return FOREVER
    match = _INTERVAL.fullmatch(text)
    if match is None:
        return None
    seconds = float(match[1]) * _UNITS[match[2]]
    return seconds if seconds <= MAX_DURATION.total_seconds() else FOREVER


def _sleep(arguments: Sequence[Word]) -> HookCourse:
    seconds = 0.0
    for word in arguments:
        if word.expands:
            return HookCourse(unknown="takes the length of its sleep from a variable or a command", may_fail=True)
        one = interval(word.text)
        if one is None:
            return failing(f"sleep does not understand {printable_name(word.text)!r}, and does not sleep")
        seconds += one
    return HookCourse(seconds=seconds) if arguments else failing("sleep without a time does not sleep")


def _wrapped(name: str, words: Sequence[Word]) -> Sequence[Word]:
    """What a wrapper runs: its own options and assignments left out."""
    at = 0
    while at < len(words) and (words[at].text.startswith("-") or (name == "env" and is_assignment(words[at]))):
        at += 2 if words[at].text == _OPTIONS_WITH_VALUE.get(name) else 1
    return words[at:]


def _timeout(words: Sequence[Word], run_script: Callable[[str], HookCourse], depth: int) -> HookCourse:
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        at += 2 if words[at].text in ("-k", "-s", "-t") else 1
    limit = interval(words[at].text) if at < len(words) else None
    if limit is None:
        return lost("runs timeout with a time that cannot be read")
    inner = command_course(words[at + 1 :], run_script, depth)
    if limit < inner.seconds:
        return HookCourse(seconds=limit, acts=inner.acts, may_fail=True, notes=inner.notes)
    return inner


def _shell(name: str, words: Sequence[Word], run_script: Callable[[str], HookCourse]) -> HookCourse:
    """``sh -c TEXT``, ``bash -euo pipefail -c TEXT``, or a script in a file."""
    wants_text = takes_value = False
    for word in words:
        if takes_value:
            takes_value = False
        elif word.text.startswith("--"):
            continue
        elif word.text.startswith(("-", "+")):
            wants_text = wants_text or "c" in word.text
            takes_value = word.text.endswith("o")
        elif wants_text:
            return run_script(word.text).inside()
        else:
            return lost(f"runs the script {printable_name(word.text)}")
    return failing(f"{name} is given nothing to run")
