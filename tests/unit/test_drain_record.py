"""One drain by its events: whatever is repeated, comes late, or is requested again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.drain_record import MAX_EVENTS, DrainRecord, new_record
from controller.domain.events import Event, Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.domain.timeline import moments
from tests.unit.building import NOON, a_command, a_pod, a_target, at, readings
from tests.unit.shutdowns import an_end, index_of, out

OPEN_FIRST = ("failed", "retrying", "requested")
MOST_URGENT_FIRST = (
    *("refused", "out_of_service", "superseded", "restored"),
    *("removed", "already_gone", "not_registered"),
)
ONE, OTHER = a_target(), a_target(id="orders-0:orders:9090")


def an_event(outcome: Outcome, seconds: float = 0, command: DrainCommand | None = None, /, **facts: Any) -> Event:
    if "reason" in facts:
        facts["reason"] = Reason(code=ReasonCode.unreachable, detail=facts["reason"])
    return make_event(command or a_command(), outcome, at(seconds), **facts)


def why(record: DrainRecord) -> str:
    return str(record.reason or "")


def begun(seconds: float = 0, command: DrainCommand | None = None) -> Event:
    return an_event(Outcome.requested, seconds, command, published_at=at(seconds + 0.1))


def record_of(*events: Event, timeline: bool = False) -> DrainRecord:
    record = new_record(events[0])
    for event in events:
        record.apply(event, timeline=timeline)
    return record


def asked_by(name: str, seconds: float) -> DrainCommand:
    return a_command(requested_by=name, requested_at=at(seconds), requested_why="INC-1", observed_at=at(seconds))


def test_a_drain_is_requested_until_its_instance_is_out_and_is_timed() -> None:
    record = record_of(begun())
    assert (record.state, why(record), record.took, record.apps) == (Outcome.requested, "", None, ())
    assert record.facts is not None
    assert record.end_at == at(30)
    record.apply(an_event(Outcome.out_of_service, 2, target=ONE, retention_ends_at=at(330)), timeline=False)
    assert (record.state, record.took, record.apps) == (Outcome.out_of_service, timedelta(seconds=2), ("ORDERS",))
    record.apply(an_event(Outcome.removed, 400, target=ONE), timeline=False)
    assert (record.state, record.took) == (Outcome.removed, timedelta(seconds=2))


def test_an_obstacle_is_shown_with_the_state_and_forgotten_once_over() -> None:
    record = record_of(begun(), an_event(Outcome.retrying, 1, reason="a node is away", target=ONE))
    assert (record.state, why(record)) == (Outcome.retrying, "a node is away")
    record.apply(an_event(Outcome.out_of_service, 5, target=ONE), timeline=False)
    assert (record.state, why(record)) == (Outcome.out_of_service, "")


@pytest.mark.parametrize("existing", [False, True], ids=["before they were found", "after they were found"])
def test_an_unreachable_region_is_no_reason_once_instances_are_found(existing: bool) -> None:
    before = [an_event(Outcome.removed, 1, target=ONE)] if existing else []
    record = record_of(begun(), *before, an_event(Outcome.retrying, 2, reason="no node answers"))
    assert (record.state, why(record)) == (Outcome.retrying, "no node answers")
    record.apply(an_event(Outcome.out_of_service, 3, target=ONE), timeline=False)
    assert (record.state, why(record)) == (Outcome.out_of_service, "")


def test_a_late_trouble_event_does_not_open_a_drain_again() -> None:
    record = record_of(
        begun(),
        an_event(Outcome.out_of_service, 5, target=ONE),
        an_event(Outcome.retrying, 2, reason="no node answers"),
    )
    assert (record.state, why(record)) == (Outcome.out_of_service, "")


def test_an_outcome_that_comes_late_does_not_undo_a_later_one() -> None:
    early, late = an_event(Outcome.out_of_service, 5, target=ONE), an_event(Outcome.removed, 400, target=ONE)
    assert record_of(begun(), late, early).state is Outcome.removed
    assert record_of(begun(), early, late).state is Outcome.removed


@pytest.mark.parametrize(("first", "second"), list(permutations(enumerate(MOST_URGENT_FIRST), 2)))
def test_a_drain_of_several_instances_has_the_state_that_takes_precedence(
    first: tuple[int, str], second: tuple[int, str]
) -> None:
    events = [an_event(Outcome(one[1]), 1, target=target) for one, target in ((first, ONE), (second, OTHER))]
    assert record_of(begun(), *events).state == min(first, second)[1]


def test_how_long_a_lost_node_was_silent_is_shown_and_counts_for_nothing() -> None:
    lost = a_command(cause=Cause.node_lost, pod=a_pod(unready_at=at(-300)), observed_at=at(0), since_at=at(0))
    record = record_of(begun(0, lost), an_event(Outcome.out_of_service, 2, lost, target=ONE), timeline=True)
    assert record.took == timedelta(seconds=2)
    first, second = moments(record, at(10))[:2]
    assert (first.at, first.what, first.after) == (at(-300), "not ready", None)
    assert (second.what, second.detail, second.after) == ("pod began to go", "its node was lost", timedelta(0))


@pytest.mark.parametrize(
    ("since", "ended", "after"),
    [(0.47, 0, 0), (0.47, 3, 3), (0, 3, 3), (0.47, 3.77, 3.3), (0.47, 0.46, 0), (0.47, -1, None), (7, 5, None)],
)
def test_what_is_known_to_the_second_is_neither_negative_nor_more_exact(
    since: float, ended: float, after: float | None
) -> None:
    record = record_of(begun(0, a_command(since_at=at(since), observed_at=at(since))))
    record.end = an_end(ended)
    (end,) = [moment for moment in moments(record, at(10)) if moment.what == "ended serving"]
    assert end.after == (None if after is None else timedelta(seconds=after))


@pytest.mark.parametrize(("since", "out", "took"), [(0, 4.3, 4), (0.4, 4.3, 3.9), (4, 0.3, 0)])
def test_it_is_out_after_no_more_exact_a_time_than_is_known(since: float, out: float, took: float) -> None:
    command = a_command(since_at=at(since), observed_at=at(since))
    record = record_of(begun(0, command), an_event(Outcome.out_of_service, out, command, target=ONE))
    assert record.took == timedelta(seconds=took)


def test_the_last_of_several_instances_decides_when_it_was_out() -> None:
    outs = [an_event(Outcome.out_of_service, seconds, target=one) for seconds, one in ((3, ONE), (9, OTHER))]
    assert record_of(begun(), *outs).took == record_of(begun(), *reversed(outs)).took == timedelta(seconds=9)


def test_a_person_who_asks_again_opens_what_had_failed() -> None:
    ann = asked_by("ann", 100)
    record = record_of(begun(), an_event(Outcome.failed, 60, target=ONE, reason="HTTP 403"), begun(100, ann))
    assert (record.state, record.requested_by, record.requested_why) == (Outcome.requested, "ann", "INC-1")
    record.apply(an_event(Outcome.out_of_service, 101, ann, target=ONE), timeline=False)
    assert record.state is Outcome.out_of_service


def test_a_failure_without_an_instance_ends_once_a_retry_finds_one() -> None:
    ann = asked_by("ann", 100)
    record = record_of(begun(), an_event(Outcome.failed, 60, reason="no node answers"), begun(100, ann))
    assert record.state is Outcome.requested
    record.apply(an_event(Outcome.out_of_service, 101, ann, target=ONE), timeline=False)
    assert (record.state, why(record)) == (Outcome.out_of_service, "")


@pytest.mark.parametrize("ended", [Outcome.out_of_service, Outcome.removed, Outcome.superseded])
def test_what_is_requested_again_is_open_until_answered(ended: Outcome) -> None:
    ann = asked_by("ann", 100)
    record = record_of(begun(), an_event(ended, 60, target=ONE), begun(100, ann))
    assert (record.state, why(record)) == (Outcome.requested, "")
    record.apply(an_event(Outcome.retrying, 101, ann, target=ONE, reason="held back"), timeline=False)
    assert (record.state, why(record)) == (Outcome.requested, "held back")
    record.apply(an_event(Outcome.out_of_service, 102, ann, target=ONE), timeline=False)
    assert (record.state, why(record)) == (Outcome.out_of_service, "")


def test_an_answer_that_comes_before_its_request_is_the_answer() -> None:
    ann = asked_by("ann", 100)
    answer = an_event(Outcome.out_of_service, 99.5, ann, target=ONE)  # by a worker whose clock is behind
    failed = an_event(Outcome.failed, 60, target=ONE)
    assert record_of(begun(), failed, answer, begun(100, ann)).state is Outcome.out_of_service
    assert record_of(begun(), failed, begun(100, ann), answer).state is Outcome.out_of_service


def test_events_of_a_sweeps_drain_do_not_request_it_again() -> None:
    swept = a_command(requested_by="sweep")
    failed = an_event(Outcome.failed, 5, swept, target=ONE, reason="HTTP 403")
    record = record_of(begun(0, swept), failed, an_event(Outcome.out_of_service, 6, swept, target=OTHER))
    assert (record.state, record.requested_by, record.requested_at) == (Outcome.failed, "sweep", NOON)
    answered_first = record_of(an_event(Outcome.out_of_service, 1, swept, target=ONE), begun(0, swept))
    assert answered_first.state is Outcome.out_of_service


def test_the_newest_requester_is_named_also_when_an_older_one_comes_last() -> None:
    ann, bob = asked_by("ann", 100), asked_by("bob", 200)
    for first, second in ((ann, bob), (bob, ann)):
        assert record_of(begun(), begun(0, first), begun(0, second)).requested_by == "bob"


def test_a_timeline_keeps_its_beginning_and_its_end() -> None:
    troubles = [an_event(Outcome.retrying, n, reason=f"trouble {n}", target=ONE) for n in range(1, 1_000)]
    record = record_of(begun(), *troubles, an_event(Outcome.failed, 1_000, target=ONE), timeline=True)
    assert len(record.events) == MAX_EVENTS
    assert record.left_out == 1_001 - MAX_EVENTS
    kept = [event for event in record.events if isinstance(event, Event)]
    assert [str(event.reason) for event in kept[1:3]] == ["trouble 1", "trouble 2"]
    assert kept[-1].outcome is Outcome.failed
    assert str(kept[-2].reason) == "trouble 999"


def test_a_timeline_shows_who_requested_it_and_why_and_what_is_to_come() -> None:
    ann = asked_by("ann", 100)
    out = an_event(Outcome.out_of_service, 101, ann, target=ONE, nodes=readings(None), retention_ends_at=at(401))
    record = record_of(begun(), begun(100, ann), out, timeline=True)
    shown = [(moment.what, moment.detail, moment.ahead) for moment in moments(record, at(200))]
    assert ("seen by the watch", "", False) in shown
    assert ("requested", "asked for by ann: INC-1", False) in shown
    assert shown[-1] == ("retention ends", f"then {ONE.id} is deleted once it is silent", True)
    assert not any(moment.ahead for moment in moments(record, at(500)))
    assert [moment.at for moment in moments(record, at(200))] == sorted(
        moment.at for moment in moments(record, at(200))
    )


OUTCOMES = st.sampled_from(sorted(Outcome))
TARGETS = st.sampled_from((ONE, OTHER, None))
ASKERS = st.sampled_from((None, asked_by("ann", 3), asked_by("bob", 6), a_command(requested_by="sweep")))
TOLD = st.builds(
    lambda outcome, seconds, requester, target, reason: an_event(
        outcome, seconds, requester, target=target, reason=reason
    ),
    OUTCOMES,
    st.integers(0, 10),
    ASKERS,
    TARGETS,
    st.sampled_from(("", "a node is away")),
)


def facts(record: DrainRecord) -> tuple[Any, ...]:
    return (
        record.state,
        why(record),
        record.took,
        record.parts,
        record.requested_by,
        record.requested_at,
        record.facts,
    )


@given(st.lists(TOLD, min_size=1, max_size=8), st.data())
def test_an_event_that_comes_twice_counts_once(events: list[Event], data: st.DataObject) -> None:
    again = [*events, *data.draw(st.lists(st.sampled_from(events), max_size=8))]
    assert facts(record_of(*events)) == facts(record_of(*again))


@given(st.lists(TOLD, min_size=1, max_size=8))
def test_an_answer_that_comes_last_is_the_state_of_its_instance(events: list[Event]) -> None:
    carl = asked_by("carl", 20)
    record = record_of(*events, begun(20, carl), an_event(Outcome.out_of_service, 21, carl, target=ONE))
    assert record.parts[(ONE.app, ONE.id)].outcome is Outcome.out_of_service
    others = [part.outcome for key, part in record.parts.items() if key != (ONE.app, ONE.id)]
    assert record.state == min(("out_of_service", *others), key=(*OPEN_FIRST, *MOST_URGENT_FIRST).index)
    assert record.answered
    assert ("", "") not in record.parts


@given(
    st.permutations(
        [
            an_event(Outcome.retrying, 1, reason="x", target=ONE),
            an_event(Outcome.out_of_service, 2, target=ONE),
            an_event(Outcome.removed, 3, target=ONE),
            begun(),
        ]
    )
)
def test_the_watchs_own_drain_ends_the_same_in_any_order_of_its_events(events: list[Event]) -> None:
    record = record_of(*events)
    assert record.state is Outcome.removed
    assert record.began_at <= record.last_at == at(3)
    assert record.facts == a_command().pod


def test_a_successor_in_a_reason_does_not_replace_the_pods_own_facts() -> None:
    successor = replace(
        an_event(Outcome.retrying, 5, reason="may have taken it over", target=ONE), facts=a_command().pod
    )
    record = record_of(begun(), replace(successor, facts=replace(a_command().pod, uid="uid-9")))
    assert record.facts == a_command().pod


def test_an_out_of_service_that_waited_for_the_log_counts() -> None:
    index = index_of(begun(), an_event(Outcome.removed, 300, target=ONE), out(0.5), an_end(100))
    record = index.get(a_command().drain_id)
    assert record is not None
    assert (record.out_at, shutdown_of(record).verdict) == (at(0.5), ShutdownVerdict.graceful)
