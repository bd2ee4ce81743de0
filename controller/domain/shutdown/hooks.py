"""What a container's preStop hook does, read from what people write there."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import assert_never

from controller.domain.shutdown.hook_course import IMMEDIATE, HookCourse, failing, lost
from controller.domain.shutdown.pod_details import Exec, Hook, HttpGet, Sleep, TcpSocket, TooLong
from controller.domain.shutdown.programs import HTTP_CLIENTS, command_course, printable_name
from controller.domain.shutdown.shell import MAX_HOOK_LENGTH, script_course
from controller.domain.shutdown.words import Word

_SETS_STATUS = re.compile(r"\bOUT_OF_SERVICE\b|/service-?registry\b|/status\?value=DOWN\b", re.IGNORECASE)
_DEREGISTERS = re.compile(
    r"(?:-X|--request|--method)[\s=]*DELETE\b.*/apps/|/apps/.*(?:-X|--request|--method)[\s=]*DELETE"
)
_ANSWERS_AT_ONCE = re.compile(r"/actuator(?:/|$)")
_SEPARATORS = {";", "&&", "||", "|", "&"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReading:
    """What is read out of a hook."""

    kind: str
    """As the field is called in a manifest; ``none`` without a hook."""
    course: HookCourse
    sets_status: bool = False
    """It takes the instance out of service, or deregisters it: what the controller does now."""


@lru_cache(maxsize=4_096)
def read_hook(hook: Hook) -> HookReading:
    """Read it; pods of one template share the answer."""
    match hook:
        case None:
            return HookReading(kind="none", course=IMMEDIATE)
        case Sleep():
            return HookReading(kind="sleep", course=HookCourse(seconds=max(hook.seconds, 0)))
        case TcpSocket():
            return HookReading(
                kind="tcpSocket", course=failing("a tcpSocket hook always fails: it is deprecated, and does nothing")
            )
        case HttpGet():
            return _http_get(hook.path)
        case Exec():
            return _exec(hook.command)
        case TooLong():
            return HookReading(kind="exec", course=lost("is too long to be judged"))
        case _:
            assert_never(hook)


def _http_get(path: str) -> HookReading:
    sets_status = _SETS_STATUS.search(path) is not None
    if sets_status:
        note = "an httpGet hook sends a GET, which sets no status at Spring's or Eureka's own addresses"
        return HookReading(kind="httpGet", course=HookCourse(acts=True, notes=(note,)), sets_status=True)
    if _ANSWERS_AT_ONCE.match(path):
        return HookReading(kind="httpGet", course=HookCourse(acts=True))
    return HookReading(
        kind="httpGet", course=lost(f"lasts until the application has answered GET {printable_name(path)}")
    )


def _exec(command: tuple[str, ...]) -> HookReading:
    if sum(map(len, command)) > MAX_HOOK_LENGTH:
        return HookReading(kind="exec", course=lost("is too long to be judged"))
    text = " ".join(command)
    calls = any(re.search(rf"\b{client}\b", text) for client in HTTP_CLIENTS)
    sets_status = calls and (_SETS_STATUS.search(text) or _DEREGISTERS.search(text)) is not None
    return HookReading(kind="exec", course=_without_a_shell(command), sets_status=sets_status)


def _without_a_shell(command: tuple[str, ...]) -> HookCourse:
    if len(command) == 1 and len(command[0].split()) > 1:
        return failing(
            f"there is no shell, and no program is called {printable_name(command[0])!r}: the hook fails at once"
        )
    course = command_course([Word(one, quoted=True) for one in command], script_course)
    alone = next((one for one in command[1:] if one in _SEPARATORS), None)
    if alone is None:
        return course
    note = f"there is no shell: {alone} is an argument like the others, and what follows it does not run"
    return replace(course, may_fail=True, notes=(*course.notes, note))
