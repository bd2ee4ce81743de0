"""What a replay would do about one drain, and when a sent command has its outcome. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.domain.annotations import PodAnnotations
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import FINAL, Event, Outcome, make_event, make_gone_event
from controller.domain.instances import Condition, Instance
from controller.domain.reason import ReasonCode
from controller.domain.replay_plan import (
    ReplayAction,
    ReplayDecision,
    Requester,
    combine_decisions,
    decide_instance,
    decide_under_way,
    is_settled,
    replay_command,
    requested,
)
from controller.domain.stage_decisions import Observation
from tests.unit.building import NOON, a_command, a_progress, a_reason, a_target, an_instance, at, out, readings

ANN = Requester(by="ann@desk", at=at(3_600), why="INC-1")
HOUR = timedelta(hours=1)
ONE, OTHER = a_target(), a_target(id="orders-0:orders:9090")
KEYS = ((ONE.app, ONE.id), (OTHER.app, OTHER.id))


def an_event(outcome: Outcome, seconds: float = 0, command: DrainCommand | None = None, /, **facts: Any) -> Event:
    return make_event(command or a_command(), outcome, at(seconds), **facts)


def record_of(*events: Event) -> DrainRecord:
    record = new_record(events[0])
    for event in events:
        record.apply(event, timeline=False)
    return record


def observed(*shown: Instance | Condition | None) -> Observation:
    return Observation(
        command=a_command(),
        annotations=PodAnnotations(),
        target=ONE,
        readings=readings(*shown),
        now=ANN.at,
        retention=timedelta(0),
        window=timedelta(0),
    )


def test_a_command_is_composed_again_from_the_event_log() -> None:
    again = replay_command(record_of(an_event(Outcome.requested), an_event(Outcome.removed, 400, target=ONE)), ANN)
    assert again == a_command(
        observed_at=ANN.at,
        gone_at=at(30),
        requested_by="ann@desk",
        requested_at=ANN.at,
        requested_why="INC-1",
        progress=None,
    )


def test_a_replay_knows_when_the_pod_had_gone() -> None:
    record = record_of(an_event(Outcome.requested))
    record.apply(make_gone_event(a_command(), at(7), at(9), proved=True), timeline=False)
    again = replay_command(record, ANN)
    assert isinstance(again, DrainCommand)
    assert again.gone_at == at(7)


def test_without_its_beginning_a_drain_cannot_be_asked_for_again() -> None:
    decision = replay_command(record_of(an_event(Outcome.removed, 400, target=ONE)), ANN)
    assert isinstance(decision, ReplayDecision)
    assert decision.action is ReplayAction.refuse
    assert "--since" in decision.reason


@pytest.mark.parametrize(
    ("cause", "action"),
    [(Cause.terminating, ReplayAction.superseded), (Cause.node_lost, ReplayAction.refuse)],
    ids=["another pod holds the id", "perhaps the very pod"],
)
def test_what_was_put_back_in_service_is_not_replayed(cause: Cause, action: ReplayAction) -> None:
    command = a_command(cause=cause)
    states = (Outcome.requested, Outcome.out_of_service, Outcome.restored)
    events = [
        an_event(outcome, number, command, **({} if outcome is Outcome.requested else {"target": ONE}))
        for number, outcome in enumerate(states)
    ]
    decision = replay_command(record_of(*events), ANN)
    assert isinstance(decision, ReplayDecision)
    assert decision.action is action
    assert "put back in service" in decision.reason


def test_what_was_taken_out_by_hand_is_not_replayed() -> None:
    decision = replay_command(record_of(an_event(Outcome.requested, 0, a_command(cause=Cause.asked))), ANN)
    assert isinstance(decision, ReplayDecision)
    assert decision.action is ReplayAction.refuse
    assert "by hand" in decision.reason


def test_whoever_asks_starts_from_the_beginning_and_is_named() -> None:
    again = requested(a_command(progress=a_progress(ONE), requested_by="bob"), ANN)
    assert (again.requested_by, again.requested_at, again.progress) == ("ann@desk", ANN.at, None)
    assert (again.since_at, again.end_at) == (NOON, at(30)), "the pod's own times are what ownership goes by"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((an_event(Outcome.requested, 3_000),), "asked for by the watch"),
        (
            (an_event(Outcome.requested, 3_000), an_event(Outcome.retrying, 3_001, reason=a_reason("a node is away"))),
            "a node is away",
        ),
        ((an_event(Outcome.requested), an_event(Outcome.removed, 9, target=ONE)), None),
        ((an_event(Outcome.requested), an_event(Outcome.failed, 3_001, target=ONE)), None),
        ((an_event(Outcome.requested, -100),), None),
    ],
)
def test_a_drain_is_under_way_until_its_worker_would_have_given_up(
    events: tuple[Event, ...], reason: str | None
) -> None:
    decision = decide_under_way(record_of(*events), ANN.at, HOUR)
    assert decision == (None if reason is None else ReplayDecision(action=ReplayAction.under_way, reason=reason))


@pytest.mark.parametrize("before", [Outcome.out_of_service, Outcome.removed, Outcome.failed, Outcome.superseded])
def test_what_was_just_asked_for_again_is_under_way(before: Outcome) -> None:
    bob = a_command(requested_by="bob", requested_at=at(3_590))
    record = record_of(
        an_event(Outcome.requested), an_event(before, 9, target=ONE), an_event(Outcome.requested, 3_590, bob)
    )
    assert decide_under_way(record, ANN.at, HOUR) == ReplayDecision(
        action=ReplayAction.under_way, reason="asked for by bob"
    )
    record.apply(an_event(Outcome.out_of_service, 3_591, bob, target=ONE), timeline=False)
    assert decide_under_way(record, ANN.at, HOUR) is None


@pytest.mark.parametrize(
    ("shown", "action", "reason"),
    [
        ((an_instance(), an_instance()), ReplayAction.drain, ""),
        ((out(), an_instance()), ReplayAction.drain, ""),
        ((out(), out()), ReplayAction.out, ""),
        ((out(), None), ReplayAction.out, ""),
        ((None, None), ReplayAction.gone, "no node holds it"),
        ((out(), Condition.unreachable), ReplayAction.drain, "once it can be proved"),
        ((None, Condition.denied), ReplayAction.drain, "once it can be proved"),
        ((Condition.failing, Condition.failing), ReplayAction.drain, "HTTP 500"),
        ((an_instance(ip="10.9.9.9", registered_at=at(100)), out()), ReplayAction.superseded, "is not the pod's"),
        ((an_instance(ip="10.9.9.9", registered_at=at(100)), None), ReplayAction.superseded, "is not the pod's"),
        ((an_instance(ip="10.9.9.9", host_name="x"), None), ReplayAction.refuse, "is not the pod's"),
        ((an_instance(pod_uid="other"), out()), ReplayAction.refuse, "another pod's uid"),
    ],
    ids=str,
)
def test_each_answer_of_the_nodes_has_its_decision(
    shown: tuple[Instance | Condition | None, ...], action: ReplayAction, reason: str
) -> None:
    decision = decide_instance(observed(*shown))
    assert decision.action is action
    assert reason in decision.reason


def test_a_drain_is_sent_when_one_of_its_instances_would_be_drained() -> None:
    decisions = [ReplayDecision(action=action) for action in reversed(ReplayAction)]
    assert combine_decisions(decisions).action is ReplayAction.drain
    assert combine_decisions(decisions[:-1]).action is ReplayAction.refuse
    assert combine_decisions(decisions[:1]).action is ReplayAction.gone


@pytest.mark.parametrize("outcome", sorted(FINAL))
def test_an_outcome_of_the_whole_settles_it(outcome: Outcome) -> None:
    assert is_settled(record_of(an_event(outcome)), KEYS)


def test_every_instance_that_was_to_be_drained_needs_an_outcome() -> None:
    assert not is_settled(None, KEYS)
    assert not is_settled(record_of(an_event(Outcome.requested)), KEYS)
    half = an_event(Outcome.out_of_service, 1, target=ONE)
    held_back = an_event(Outcome.retrying, 2, target=OTHER, reason=a_reason("held back", ReasonCode.rate_limited))
    assert not is_settled(record_of(half), KEYS)
    assert not is_settled(record_of(half, held_back), KEYS)
    assert is_settled(record_of(half, held_back, an_event(Outcome.refused, 3, target=OTHER)), KEYS)
    assert is_settled(record_of(half), KEYS[:1])


def test_an_outcome_of_any_instance_settles_a_drain_without_known_ones() -> None:
    assert is_settled(record_of(an_event(Outcome.out_of_service, target=ONE)), ())
    assert not is_settled(record_of(an_event(Outcome.requested)), ())
    assert not is_settled(record_of(an_event(Outcome.retrying, reason=a_reason("no node answers"))), ())
