"""What a worker may keep in memory while a drain waits, and what it must write down first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.commands import Progress, Stage, Target, new_progress
from controller.domain.written_down import must_be_written
from tests.unit.building import a_command, a_pod, a_reason, a_target, at

POD = a_pod(name="orders-7d9f8c-x2x4z")
COMMAND = a_command(POD)
ITS_OWN, FIXED = "orders-7d9f8c-x2x4z:orders:8080", "orders-fixed"
MAY_BE_LOST: dict[str, dict[str, Any]] = {
    "nothing": {},
    "when it is due": {"due_at": at(10)},
    "that it is out": {"stage": Stage.retain, "may_have_override": True, "written_at": at(1)},
    "since when it is silent": {"renewals": {"a": at(3)}, "silent_since": at(5)},
    "the number of the attempt": {"attempt": 3},
}
MUST_NOT: dict[str, dict[str, Any]] = {
    "whose override it was": {"was_out": True},
    "what was renewed after the end": {"renewals_after_end": {"a": at(40)}},
    "what it was registered by after the end": {"last_dirty_at": at(40)},
    "that others have the id too": {"shared_id": True},
    "that it is to be deleted": {"stage": Stage.delete},
    "that it is to be given back": {"stage": Stage.give_back},
    "what stands in its way": {"trouble": a_reason("no answer")},
    "since when that is so": {"trouble_since": at(5)},
}


def progress(*targets: Target) -> Progress:
    return replace(new_progress(at(0)), targets=targets)


@pytest.mark.parametrize("changes", MAY_BE_LOST.values(), ids=MAY_BE_LOST)
def test_what_a_repetition_finds_again_is_kept_in_memory(changes: dict[str, Any]) -> None:
    target = a_target(id=ITS_OWN)
    assert not must_be_written(COMMAND, progress(target), progress(replace(target, **changes)))
    assert not must_be_written(COMMAND, None, progress(replace(target, **changes)))


@pytest.mark.parametrize("changes", MUST_NOT.values(), ids=MUST_NOT)
def test_what_nobody_could_find_again_is_written_down(changes: dict[str, Any]) -> None:
    target = a_target(id=ITS_OWN)
    assert must_be_written(COMMAND, progress(target), progress(replace(target, **changes)))
    assert must_be_written(COMMAND, None, progress(replace(target, **changes)))
    assert must_be_written(COMMAND, progress(replace(target, **changes)), progress(target))


def test_an_id_that_does_not_name_its_pod_is_written_down_when_it_is_found() -> None:
    target = a_target(id=FIXED)
    assert must_be_written(COMMAND, None, progress(target))
    assert not must_be_written(COMMAND, progress(target), progress(replace(target, stage=Stage.retain)))


def test_what_has_ended_is_written_down_while_others_go_on() -> None:
    one, other = a_target(id=ITS_OWN), a_target(id=f"{ITS_OWN}:2")
    assert must_be_written(COMMAND, progress(one, other), progress(one))


def test_what_keeps_it_from_being_found_is_written_down() -> None:
    away = replace(progress(), trouble=a_reason("no node answers"), trouble_since=at(1))
    assert must_be_written(COMMAND, None, away)
    assert not must_be_written(COMMAND, away, replace(away, due_at=at(9), attempt=2))
    assert must_be_written(COMMAND, away, progress())


def test_what_was_beside_its_namesakes_is_written_down() -> None:
    assert must_be_written(COMMAND, None, replace(progress(), doubted=(("WEB", "web-0:b"),)))
