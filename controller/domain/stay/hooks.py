"""What a container's preStop hook does, read from what people write there."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import assert_never

from controller.domain.stay.course import AT_ONCE, Course, failing, lost
from controller.domain.stay.pods import Exec, Hook, HttpGet, Sleep, TcpSocket, TooLong
from controller.domain.stay.programs import HTTP_CLIENTS, course_of, told
from controller.domain.stay.shell import LONGEST_TEXT, course_of_text
from controller.domain.stay.words import Word

_SETS_STATUS = re.compile(r"\bOUT_OF_SERVICE\b|/service-?registry\b|/status\?value=DOWN\b", re.IGNORECASE)
_DEREGISTERS = re.compile(
    r"(?:-X|--request|--method)[\s=]*DELETE\b.*/apps/|/apps/.*(?:-X|--request|--method)[\s=]*DELETE"
)
_ANSWERS_AT_ONCE = re.compile(r"/actuator(?:/|$)")
_SEPARATORS = {";", "&&", "||", "|", "&"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read out of a hook."""

    kind: str
    """As the field is called in a manifest; ``none`` without a hook."""
    course: Course
    sets_status: bool = False
    """It takes the instance out of service, or deregisters it: what the controller does now."""


@lru_cache(maxsize=4_096)
def read_hook(hook: Hook) -> Reading:
    """Read it; pods of one template share the answer."""
    match hook:
        case None:
            return Reading(kind="none", course=AT_ONCE)
        case Sleep():
            return Reading(kind="sleep", course=Course(seconds=max(hook.seconds, 0)))
        case TcpSocket():
            return Reading(
                kind="tcpSocket", course=failing("a tcpSocket hook always fails: it is deprecated, and does nothing")
            )
        case HttpGet():
            return _http_get(hook.path)
        case Exec():
            return _exec(hook.command)
        case TooLong():
            return Reading(kind="exec", course=lost("is too long to be judged"))
        case _:
            assert_never(hook)


def _http_get(path: str) -> Reading:
    sets_status = _SETS_STATUS.search(path) is not None
    if sets_status:
        note = "an httpGet hook sends a GET, which sets no status at Spring's or Eureka's own addresses"
        return Reading(kind="httpGet", course=Course(acts=True, notes=(note,)), sets_status=True)
    if _ANSWERS_AT_ONCE.match(path):
        return Reading(kind="httpGet", course=Course(acts=True))
    return Reading(kind="httpGet", course=lost(f"lasts until the application has answered GET {told(path)}"))


def _exec(command: tuple[str, ...]) -> Reading:
    if sum(map(len, command)) > LONGEST_TEXT:
        return Reading(kind="exec", course=lost("is too long to be judged"))
    text = " ".join(command)
    calls = any(re.search(rf"\b{client}\b", text) for client in HTTP_CLIENTS)
    sets_status = calls and (_SETS_STATUS.search(text) or _DEREGISTERS.search(text)) is not None
    return Reading(kind="exec", course=_without_a_shell(command), sets_status=sets_status)


def _without_a_shell(command: tuple[str, ...]) -> Course:
    if len(command) == 1 and len(command[0].split()) > 1:
        return failing(f"there is no shell, and no program is called {told(command[0])!r}: the hook fails at once")
    course = course_of([Word(one, quoted=True) for one in command], course_of_text)
    alone = next((one for one in command[1:] if one in _SEPARATORS), None)
    if alone is None:
        return course
    note = f"there is no shell: {alone} is an argument like the others, and what follows it does not run"
    return replace(course, may_fail=True, notes=(*course.notes, note))
