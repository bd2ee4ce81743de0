"""What a replay would do about one drain, and when what it sent has come to something. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.domain.annotations import PodAnnotations
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import FINAL, Event, Outcome, make_event
from controller.domain.instances import Condition, Instance
from controller.domain.replay_plan import (
    ReplayAction,
    ReplayDecision,
    Requester,
    combine,
    decide_instance,
    is_settled,
    is_under_way,
    replay_command,
    requested,
)
from tests.unit.building import NOON, a_command, a_progress, a_target, an_instance, at, out, readings

ANN = Requester(by="ann@desk", at=at(3_600), why="INC-1")
HOUR = timedelta(hours=1)
ONE, OTHER = a_target(), a_target(id="orders-0:orders:9090")
KEYS = ((ONE.app, ONE.id), (OTHER.app, OTHER.id))


def told(outcome: Outcome, seconds: float = 0, command: DrainCommand | None = None, /, **facts: Any) -> Event:
    return make_event(command or a_command(), outcome, at(seconds), **facts)


def story_of(*events: Event) -> DrainRecord:
    record = new_record(events[0])
    for event in events:
        record.apply(event, timeline=False)
    return record


def test_a_command_is_composed_again_from_what_the_log_tells() -> None:
    again = replay_command(story_of(told(Outcome.requested), told(Outcome.removed, 400, target=ONE)), ANN)
    assert again == a_command(
        observed_at=ANN.at, requested_by="ann@desk", requested_at=ANN.at, requested_why="INC-1", progress=None
    )


def test_without_its_beginning_a_drain_cannot_be_asked_for_again() -> None:
    judged = replay_command(story_of(told(Outcome.removed, 400, target=ONE)), ANN)
    assert isinstance(judged, ReplayDecision)
    assert judged.verdict is ReplayAction.refuse
    assert "--since" in judged.reason


def test_what_was_put_back_in_service_or_taken_out_by_hand_is_not_replayed() -> None:
    out = told(Outcome.out_of_service, 1, target=ONE)
    restored = replay_command(story_of(told(Outcome.requested), out, told(Outcome.restored, 9, target=ONE)), ANN)
    by_hand = a_command(cause=Cause.asked)
    taken_out = replay_command(story_of(told(Outcome.requested, 0, by_hand)), ANN)
    for judged, words in ((restored, "put back in service"), (taken_out, "by hand")):
        assert isinstance(judged, ReplayDecision)
        assert judged.verdict is ReplayAction.refuse
        assert words in judged.reason


def test_who_asks_starts_from_the_beginning_with_his_name_on_it() -> None:
    again = requested(a_command(progress=a_progress(ONE), requested_by="bob"), ANN)
    assert (again.requested_by, again.requested_at, again.progress) == ("ann@desk", ANN.at, None)
    assert (again.since_at, again.end_at) == (NOON, at(30)), "the pod's own times are what the fences go by"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((told(Outcome.requested, 3_000),), "asked for by the watch"),
        ((told(Outcome.requested, 3_000), told(Outcome.requested, 3_001, reason="a node is away")), "a node is away"),
        ((told(Outcome.requested), told(Outcome.removed, 9, target=ONE)), None),
        ((told(Outcome.requested), told(Outcome.failed, 3_001, target=ONE)), None),
        ((told(Outcome.requested, -100),), None),
    ],
)
def test_what_a_worker_still_has_is_under_way_until_it_would_have_given_up(
    events: tuple[Event, ...], reason: str | None
) -> None:
    judged = is_under_way(story_of(*events), ANN.at, HOUR)
    assert judged == (None if reason is None else ReplayDecision(verdict=ReplayAction.under_way, reason=reason))


@pytest.mark.parametrize("before", [Outcome.out_of_service, Outcome.removed, Outcome.failed, Outcome.superseded])
def test_what_somebody_has_just_asked_for_again_is_under_way_whatever_it_was_before(before: Outcome) -> None:
    bob = a_command(requested_by="bob", requested_at=at(3_590))
    record = story_of(told(Outcome.requested), told(before, 9, target=ONE), told(Outcome.requested, 3_590, bob))
    assert is_under_way(record, ANN.at, HOUR) == ReplayDecision(
        verdict=ReplayAction.under_way, reason="asked for by bob"
    )
    record.apply(told(Outcome.out_of_service, 3_591, bob, target=ONE), timeline=False)
    assert is_under_way(record, ANN.at, HOUR) is None


@pytest.mark.parametrize(
    ("shown", "verdict", "reason"),
    [
        ((an_instance(), an_instance()), ReplayAction.drain, ""),
        ((out(), an_instance()), ReplayAction.drain, ""),
        ((out(), out()), ReplayAction.out, ""),
        ((out(), None), ReplayAction.out, ""),
        ((None, None), ReplayAction.gone, "no node holds it"),
        ((out(), Condition.unreachable), ReplayAction.drain, "once it can be proved"),
        ((None, Condition.denied), ReplayAction.drain, "once it can be proved"),
        ((Condition.failing, Condition.failing), ReplayAction.drain, "HTTP 500"),
        ((an_instance(registered_at=at(100)), out()), ReplayAction.superseded, "after the pod's end"),
        ((an_instance(registered_at=at(100)), None), ReplayAction.superseded, "after the pod's end"),
        ((an_instance(ip="10.9.9.9", host_name="x"), None), ReplayAction.refuse, "are not the pod's"),
        ((an_instance(ip="10.9.9.9"), out()), ReplayAction.refuse, "not the pod's alone"),
    ],
    ids=str,
)
def test_each_answer_of_the_nodes_has_its_verdict(
    shown: tuple[Instance | Condition | None, ...], verdict: ReplayAction, reason: str
) -> None:
    judged = decide_instance(a_command(), PodAnnotations(), ONE, readings(*shown))
    assert judged.verdict is verdict
    assert reason in judged.reason


def test_a_drain_of_several_instances_is_drained_when_one_of_them_would_be() -> None:
    verdicts = [ReplayDecision(verdict=verdict) for verdict in reversed(ReplayAction)]
    assert combine(verdicts).verdict is ReplayAction.drain
    assert combine(verdicts[:-1]).verdict is ReplayAction.refuse
    assert combine(verdicts[:1]).verdict is ReplayAction.gone


@pytest.mark.parametrize("outcome", sorted(FINAL))
def test_an_outcome_of_the_whole_settles_it(outcome: Outcome) -> None:
    assert is_settled(story_of(told(outcome)), KEYS)


def test_every_instance_that_was_to_be_drained_must_have_come_to_something() -> None:
    assert not is_settled(None, KEYS)
    assert not is_settled(story_of(told(Outcome.requested)), KEYS)
    half = told(Outcome.out_of_service, 1, target=ONE)
    held_back = told(Outcome.requested, 2, target=OTHER, reason="held back")
    assert not is_settled(story_of(half), KEYS)
    assert not is_settled(story_of(half, held_back), KEYS)
    assert is_settled(story_of(half, held_back, told(Outcome.refused, 3, target=OTHER)), KEYS)
    assert is_settled(story_of(half), KEYS[:1])


def test_for_instances_that_nobody_knew_before_anything_that_is_told_of_one_settles_it() -> None:
    assert is_settled(story_of(told(Outcome.out_of_service, target=ONE)), ())
    assert not is_settled(story_of(told(Outcome.requested)), ())
    assert not is_settled(story_of(told(Outcome.requested, reason="no node answers")), ())
