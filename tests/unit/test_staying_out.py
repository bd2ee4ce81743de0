"""What a look beside the drain's own ones says: whether what was taken out stays out, in the hands that it was in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.instances import Condition, Instance
from controller.domain.silence import renewals
from controller.domain.staying_out import contradicts, is_kept_out, may_be_heard_of, stays_out
from tests.unit.building import a_command, a_progress, a_reason, a_target, an_instance, at, out, readings

SHOWN = readings(out(), out())


def kept(**facts: Any) -> Target:
    """What is out at two nodes, by its drain's last look."""
    usual = {"stage": Stage.retain, "renewals": renewals(SHOWN), "silent_since": at(5), "dirty_at": out().dirty_at}
    return a_target(**{**usual, **facts})


@pytest.mark.parametrize(
    ("facts", "is_kept"),
    [
        ({}, True),
        ({"stage": Stage.take_out}, False),
        ({"stage": Stage.give_back}, False),
        ({"renewals": {}}, False),
        ({"trouble": a_reason()}, False),
    ],
    ids=["out", "to be taken out", "given back", "absent", "in trouble"],
)
def test_only_what_is_out_without_trouble_is_watched_over(facts: dict[str, Any], is_kept: bool) -> None:
    assert is_kept_out(kept(**facts)) is is_kept


@pytest.mark.parametrize(("seconds", "may"), [(39, True), (40, False)])
def test_what_is_proved_silent_is_not_heard_of_any_more(seconds: float, may: bool) -> None:
    assert may_be_heard_of(kept(), at(seconds)) is may
    assert may_be_heard_of(kept(silent_since=None), at(seconds))


@pytest.mark.parametrize(
    ("shown", "stays"),
    [
        ((out(), out()), True),
        ((out(renewed_at=at(300)), out(renewed_at=at(300))), True),
        ((out(), None), False),
        ((out(), an_instance()), False),
        ((out(), out(dirty_at=at(60))), False),
        ((out(), out(status="DOWN", override="DOWN")), False),
    ],
    ids=["as it was", "it heartbeats", "forgotten", "up again", "registered anew", "set to DOWN"],
)
def test_what_any_node_shows_otherwise_is_to_be_looked_at(
    shown: tuple[Instance | Condition | None, ...], stays: bool
) -> None:
    assert stays_out(a_command(), kept(), readings(*shown)) is stays


@pytest.mark.parametrize(
    ("command", "target"),
    [(a_command(), kept(renewals_after_end=renewals(SHOWN))), (a_command(gone_at=at(2), end_proved=True), kept())],
    ids=["noted after its end", "its end is proved"],
)
def test_a_heartbeat_after_the_pods_end_is_to_be_looked_at(command: DrainCommand, target: Target) -> None:
    assert stays_out(command, target, SHOWN)
    assert not stays_out(command, target, readings(out(renewed_at=at(300)), out(renewed_at=at(300))))


def test_what_somebody_else_keeps_from_callers_stays_as_it_is() -> None:
    theirs = out(status="DOWN", override="DOWN")
    assert stays_out(a_command(), kept(was_out=True), readings(theirs, theirs))


@pytest.mark.parametrize(
    ("listed", "says_no"),
    [(out(), False), (an_instance(), True), (out(dirty_at=at(60)), True)],
    ids=["out", "up", "registered anew"],
)
def test_a_list_counts_once_it_cannot_be_from_before(listed: Instance, says_no: bool) -> None:
    command, target = a_command(progress=a_progress()), kept(written_at=at(2))
    assert contradicts(command, target, listed, at(37)) is says_no
    assert not contradicts(command, target, listed, at(37) - timedelta(milliseconds=1))
