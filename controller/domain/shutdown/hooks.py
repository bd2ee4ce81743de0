"""What a container's preStop hook does, read from the few forms that people write.

Read are the native sleep, ``sleep N``, and ``sh -c`` with a last ``; sleep N`` after commands that cannot end the
shell. Everything else cannot be judged, which is never wrong: a hook that is called long enough and is not costs
requests. A hook's size is bounded first, and reading it takes time in proportion to that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import assert_never

from controller.bounds import MAX_HOOK_BYTES
from controller.domain.shutdown.pod_details import Exec, Hook, HttpGet, Sleep, TcpSocket, TooLong

SHELLS = {"sh", "ash", "bash", "dash", "ksh"}
"""Not zsh, which ends when a pattern such as ``status?value=DOWN`` matches no file."""
HARMLESS = {"date", "echo", "sleep", "true"}
"""They do nothing to the application."""
HTTP_CLIENTS = {"curl", "wget"}
_PROGRAM = re.compile(r"(?:(?:/usr)?/bin/|/busybox/)?([a-z]+)")
_RUN_A_TEXT = re.compile(r"-[vx]*c")
"""Other options may end the shell early (``-e``, ``-u``), run nothing (``-n``), or read files first (``-l``)."""
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})([smhd]?)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TOKEN = re.compile(
    r"""
      (?P<blank>  [ \t]+ (?: \\\n [ \t]* )* )
    | (?P<end>    [;\n] )
    | (?P<output> \d? >{1,2} [ ]* (?: &[12] | /dev/null | /dev/std(?:out|err) | /proc/1/fd/[12] ) (?= [\s;] | \Z ) )
    | (?P<word>   (?: [\w./:=?@%+,~^*!\[\]-] | \$\w | \$\{\w+\} | '[^']*'
                    | "(?: [^"\\$`] | \\. | \$\w | \$\{\w+\} )*" )+ )
    | (?P<other>  . )
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
"""A shell's text, as far as it is plain: whatever may end it or change the order of its commands is ``other``."""
_STOPS = re.compile(r"shutdown|stop|quit|exit|kill|terminat|restart|halt|abort|drain|pause", re.IGNORECASE)
"""What an address may hold that ends the application."""
_SETS_STATUS = re.compile(r"\bOUT_OF_SERVICE\b|/service-?registry\b|/status\?value=DOWN\b", re.IGNORECASE)
_PUBLIC = re.compile(r"[\w.+/-]{1,60}", re.ASCII)
"""What is repeated of a hook: a name or a path, but no URL with its user, no query and no assignment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReading:
    """What is read out of a hook."""

    kind: str
    """As the field is called in a manifest; ``none`` without a hook."""
    seconds: float = 0.0
    """How long it waits for certain; 0 where it cannot be judged."""
    unknown: str = ""
    """What it does that cannot be judged; empty where all of it can."""
    only_waits: bool = False
    """A sleep may take its place."""
    sets_status: bool = False
    """It takes the instance out of service, or deregisters it: the controller does that."""
    note: str = ""
    """What its author may not know."""


@lru_cache(maxsize=1_024)
def read_hook(hook: Hook) -> HookReading:
    """Read it; pods of one template share the answer."""
    match hook:
        case None:
            return HookReading(kind="none", only_waits=True)
        case Sleep():
            return HookReading(kind="sleep", seconds=max(hook.seconds, 0), only_waits=True)
        case TcpSocket():
            note = "a tcpSocket hook always fails: it is deprecated, and does nothing"
            return HookReading(kind="tcpSocket", only_waits=True, note=note)
        case HttpGet():
            return _http_get(hook.path)
        case Exec() if sum(map(len, hook.command)) + len(hook.command) <= MAX_HOOK_BYTES:
            reading = _exec(hook.command)
            return replace(reading, sets_status=not reading.note and _sets_status(" ".join(hook.command)))
        case Exec() | TooLong():
            return HookReading(kind="exec", unknown="is too long")
        case _:
            assert_never(hook)


def _http_get(path: str) -> HookReading:
    sets_status = _SETS_STATUS.search(path) is not None
    # Spring's own addresses answer at once.
    unknown = "" if path.startswith("/actuator/") else f"lasts until the application has answered GET {_public(path)}"
    note = "an httpGet hook sends a GET, which sets no status at Spring's or Eureka's own addresses"
    return HookReading(kind="httpGet", unknown=unknown, sets_status=sets_status, note=note if sets_status else "")


def _exec(command: tuple[str, ...]) -> HookReading:
    program = _program(command[0]) if command else ""
    if program == "sleep":
        return _waiting(command[1:], only_waits=True)
    if len(command) == 1 and " " in command[0]:
        note = "there is no shell, and no program has a name with a space in it: the hook fails at once"
        return HookReading(kind="exec", only_waits=True, note=note)
    if program in SHELLS and len(command) > 2 and _RUN_A_TEXT.fullmatch(command[1]):
        return _shell(command[2])
    shown = [_public(one) for one in command[: 2 if program in SHELLS else 1]]
    return HookReading(kind="exec", unknown=f"runs {' '.join(shown).strip() or 'a program'}")


def _shell(text: str) -> HookReading:
    """Read what stands after ``sh -c``."""
    commands = [(_program(words[0]), words[1:]) for words in _commands(text)]
    is_plain = all(
        program in HARMLESS or (program in HTTP_CLIENTS and not any(map(_STOPS.search, arguments)))
        for program, arguments in commands
    )
    if not is_plain or not commands or commands[-1][0] != "sleep":
        return HookReading(kind="exec", unknown="does more in its shell than plain calls before a last sleep")
    if not all(arguments for program, arguments in commands if program == "sleep"):
        return _waiting((), only_waits=False)
    times = [time for program, arguments in commands if program == "sleep" for time in arguments]
    return _waiting(times, only_waits=all(program in HARMLESS for program, _ in commands))


def _commands(text: str) -> list[list[str]]:
    """Cut a shell's text into commands of words; empty where it is not plain, or no shell takes it."""
    commands: list[list[str]] = [[]]
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind in ("word", "output"):
            commands[-1].append(token[0])
        elif kind == "end" and commands[-1]:
            commands.append([])
        elif kind == "other" or token[0] == ";":
            return []
    return commands if commands[-1] else commands[:-1]


def _waiting(times: Sequence[str], *, only_waits: bool) -> HookReading:
    """Add up times as GNU's and BusyBox' sleep do."""
    read = [_TIME.fullmatch(one) for one in times]
    if not read or not all(read):
        return HookReading(kind="exec", unknown="calls sleep with something else than plain times")
    seconds = sum(float(one[1]) * _UNITS[one[2]] for one in read if one)
    return HookReading(kind="exec", seconds=seconds, only_waits=only_waits)


def _sets_status(text: str) -> bool:
    calls = any(client in text for client in HTTP_CLIENTS)
    return calls and (_SETS_STATUS.search(text) is not None or ("DELETE" in text and "/apps/" in text))


def _program(word: str) -> str:
    """Return the program's name where the word runs one of the image's own; else nothing."""
    found = _PROGRAM.fullmatch(word)
    return found[1] if found else ""


def _public(text: str) -> str:
    """Return the beginning, as far as it may be repeated."""
    found = _PUBLIC.match(text)
    return found[0] if found else ""
