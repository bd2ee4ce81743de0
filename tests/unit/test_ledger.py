"""What the ledger makes of the event log: what is held, what has ended, and which pods are going."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.causes import REVERSIBLE, Cause
from controller.domain.events import FINAL, Event, Outcome, make_event, make_gone_event
from controller.domain.ledger import SETTLE_TIMEOUT, Ledger
from controller.domain.reason import ReasonCode
from tests.unit.building import POD_IP, a_command, a_pod, a_reason, a_target, an_instance, at

KEY = (a_command().drain_id, "ORDERS", "orders-0:orders:8080")
SUCCESSOR = a_pod("uid-2", ip="10.1.0.99", created_at=at(20))


def an_event(outcome: Outcome, seconds: float = 1, **facts: Any) -> Event:
    target = None if outcome is Outcome.requested else a_target()
    return replace(make_event(a_command(), outcome, at(seconds), target=target), **facts)


def ledger_of(*events: Event, cluster: str = "") -> Ledger:
    ledger = Ledger(cluster)
    for event in events:
        ledger.apply(event)
    return ledger


def test_what_was_taken_out_is_held_where_a_successor_would_stand() -> None:
    ledger = ledger_of(an_event(Outcome.requested, 0), an_event(Outcome.out_of_service))
    for heir in (SUCCESSOR, a_pod("uid-3", name="other", ip=POD_IP)):
        assert [held.key for held in ledger.held_at(heir)] == [KEY]
    assert list(ledger.held_at(a_pod("uid-4", name="other", ip="10.1.0.98"))) == []
    assert list(ledger.held_at(replace(SUCCESSOR, namespace="elsewhere"))) == []


@pytest.mark.parametrize("outcome", sorted(FINAL - {Outcome.failed}))
def test_after_the_end_nothing_is_held_and_a_late_event_changes_nothing(outcome: Outcome) -> None:
    ledger = ledger_of(an_event(Outcome.out_of_service), an_event(outcome, 300))
    assert ledger.apply(an_event(Outcome.out_of_service)) is None
    assert list(ledger.held_at(SUCCESSOR)) == []
    assert ledger.has_ended(KEY, at(0))
    assert not ledger.has_ended(KEY, at(400)), "a drain that was asked for later has not"
    assert ledger.has_any_ended(KEY[0])


def test_what_failed_is_held_all_the_same() -> None:
    ledger = ledger_of(an_event(Outcome.out_of_service), an_event(Outcome.failed, 3600))
    assert [held.key for held in ledger.held_at(SUCCESSOR)] == [KEY]
    assert not ledger.has_ended(KEY, at(0))


def test_another_clusters_drains_are_none_of_ours() -> None:
    assert list(ledger_of(an_event(Outcome.out_of_service), cluster="other").held_at(SUCCESSOR)) == []


@pytest.mark.parametrize("cause", Cause)
def test_a_pod_that_goes_never_comes_back_unless_its_node_was_lost(cause: Cause) -> None:
    ledger = ledger_of(an_event(Outcome.requested, 0, cause=cause))
    assert ledger.is_going("uid-1", at(-1))
    assert ledger.is_going("uid-1", at(10)) == (cause not in REVERSIBLE), "a lagging API server may show it alive"
    assert not ledger.is_going("uid-2", at(-1))


def test_a_lost_node_first_and_a_deletion_later_is_a_deletion() -> None:
    lost, deleted = an_event(Outcome.requested, 0, cause=Cause.node_lost), an_event(Outcome.requested, 60)
    assert ledger_of(lost, deleted).is_going("uid-1", at(100))
    assert ledger_of(deleted, lost).is_going("uid-1", at(100))


def test_reported_trouble_is_an_answer_and_the_watchs_own_event_is_none() -> None:
    assert not ledger_of(an_event(Outcome.requested)).is_answered(KEY[0], at(0))
    answered = ledger_of(an_event(Outcome.retrying), an_event(Outcome.restored, 100))
    assert answered.is_answered(KEY[0], at(100))
    assert not answered.is_answered(KEY[0], at(3600)), "that was an earlier drain of the same pod"


def test_a_drained_successor_keeps_its_own_drains_override() -> None:
    heir = an_instance(ip="10.1.0.99", registered_at=at(40))
    theirs = an_event(Outcome.out_of_service, 50, drain_id="theirs", uid="uid-2", ip="10.1.0.99")
    assert ledger_of(an_event(Outcome.out_of_service), theirs).is_held_by_another(KEY, "eu", at(40))
    earlier = an_event(Outcome.out_of_service, 30, drain_id="earlier")
    assert not ledger_of(an_event(Outcome.out_of_service), earlier).is_held_by_another(KEY, "eu", at(40))
    asked = ledger_of(an_event(Outcome.requested, 50, drain_id="theirs", uid="uid-2", ip="10.1.0.99"))
    assert asked.is_asked_to_go(heir, at(60))
    assert not asked.is_asked_to_go(replace(heir, registered_at=at(55)), at(60))
    assert not asked.is_asked_to_go(heir, at(50) + SETTLE_TIMEOUT + timedelta(seconds=1))


def test_who_took_a_registration_out_once_more_since_then_holds_it() -> None:
    first = an_event(Outcome.out_of_service, 30, drain_id="theirs")
    back = a_reason(code=ReasonCode.back_in_service)
    again = an_event(Outcome.retrying, 50, drain_id="theirs", reason=back)
    ours = an_event(Outcome.out_of_service, 35)
    assert not ledger_of(first, ours).is_held_by_another(KEY, "eu", at(40))
    assert ledger_of(first, ours, again).is_held_by_another(KEY, "eu", at(40))
    assert not ledger_of(first, ours, again).is_held_by_another(("theirs", *KEY[1:]), "eu", at(40))


@pytest.mark.parametrize("theirs_at", [45, 50, 55])
def test_of_two_drains_that_hold_one_successor_one_gives_it_back(theirs_at: int) -> None:
    ours, theirs = an_event(Outcome.out_of_service, 50), an_event(Outcome.out_of_service, theirs_at, drain_id="theirs")
    for events in ((ours, theirs), (theirs, ours)):
        ledger = ledger_of(*events)
        left = [ledger.is_held_by_another((drain_id, *KEY[1:]), "eu", at(40)) for drain_id in (KEY[0], "theirs")]
        assert sorted(left) == [False, True]
        assert ledger.is_held_by_another(("a third", *KEY[1:]), "eu", at(40))
    ended = ledger_of(ours, theirs, an_event(Outcome.superseded, 60, drain_id="theirs"))
    assert not ended.is_held_by_another(KEY, "eu", at(40))


@given(st.lists(st.sampled_from(sorted(Outcome)), max_size=8), st.data())
def test_an_event_that_comes_twice_counts_once(outcomes: list[Outcome], data: st.DataObject) -> None:
    events = [an_event(outcome, number) for number, outcome in enumerate(outcomes)]
    again = [event for event in events for _ in range(data.draw(st.integers(1, 2)))]
    once, twice = ledger_of(*events), ledger_of(*again)
    assert list(once.held_at(SUCCESSOR)) == list(twice.held_at(SUCCESSOR))
    assert once.has_ended(KEY, at(-1)) == twice.has_ended(KEY, at(-1))


@given(st.lists(st.sampled_from([Outcome.out_of_service, *sorted(FINAL)]), max_size=6), st.data())
def test_in_whichever_order_events_come_the_same_is_held(outcomes: list[Outcome], data: st.DataObject) -> None:
    events = [an_event(outcome, number) for number, outcome in enumerate(outcomes)]
    in_order, shuffled = ledger_of(*events), ledger_of(*data.draw(st.permutations(events)))
    assert [held.key for held in in_order.held_at(SUCCESSOR)] == [held.key for held in shuffled.held_at(SUCCESSOR)]
    for number in range(len(events)):
        assert in_order.has_ended(KEY, at(number)) == shuffled.has_ended(KEY, at(number))
        assert in_order.is_cleared(KEY, at(number)) == shuffled.is_cleared(KEY, at(number))


def test_an_old_ending_ends_nothing_of_what_is_held_when_little_is_kept() -> None:
    ledger = Ledger(limit=3)
    ledger.apply(an_event(Outcome.out_of_service, 10))
    for number in range(3):
        ledger.apply(an_event(Outcome.out_of_service, 20, drain_id=f"drain-{number}"))
        ledger.apply(an_event(Outcome.removed, 30, drain_id=f"drain-{number}"))
    ledger.apply(an_event(Outcome.superseded, 5))
    assert [held.key for held in ledger.held_at(SUCCESSOR)] == [KEY]


def test_a_proved_end_replaces_one_that_was_only_seen() -> None:
    seen = make_gone_event(a_command(), at(9), at(10), proved=False)
    proved = make_gone_event(a_command(), at(5), at(11), proved=True)
    for entries in ((seen, proved), (proved, seen)):
        ledger = Ledger()
        assert ledger.gone("uid-1") is None
        for entry in entries:
            ledger.apply(entry)
        assert ledger.gone("uid-1") == proved


def test_what_was_out_before_the_drain_is_not_ours_to_give_back() -> None:
    before = replace(an_event(Outcome.out_of_service), reason=a_reason("by a person", ReasonCode.already_out))
    assert list(ledger_of(before).held_at(SUCCESSOR)) == []
    assert not ledger_of(before).holds("eu", KEY[1], KEY[2])


def test_a_drain_goes_on_if_its_instance_is_back_under_a_persons_override() -> None:
    before = replace(an_event(Outcome.out_of_service, 20), reason=a_reason("by a person", ReasonCode.already_out))
    ledger = ledger_of(an_event(Outcome.superseded, 10), before)
    assert not ledger.has_ended(KEY, at(0))
    assert not ledger.is_registered_since_end(KEY[0], an_instance(registered_at=at(60)))


@pytest.mark.parametrize(
    ("outcome", "registered", "anew"),
    [
        (Outcome.restored, 9, True),
        (Outcome.superseded, 9, True),
        (Outcome.restored, 6, False),
        (Outcome.refused, 9, False),
        (Outcome.refused, 11, True),
    ],
)
def test_what_its_pod_registers_as_its_drain_ends_is_registered_anew(
    outcome: Outcome, registered: float, anew: bool
) -> None:
    instance = an_instance(registered_at=at(registered))
    assert ledger_of(an_event(outcome, 10)).is_registered_since_end(KEY[0], instance) is anew


def test_a_cached_list_that_shows_what_was_drained_shows_nothing_new() -> None:
    out = an_event(Outcome.out_of_service, 8, dirty_at=at(7.4))
    for events in itertools.permutations((out, an_event(Outcome.restored, 10))):
        ledger = ledger_of(*events)
        shown = an_instance(registered_at=at(7.5), dirty_at=at(7.4))
        assert not ledger.is_registered_since_end(KEY[0], shown)
        assert ledger.is_registered_since_end(KEY[0], replace(shown, dirty_at=at(9)))
        assert ledger.is_registered_since_end(KEY[0], replace(shown, registered_at=at(10.5)))


def test_a_registration_is_a_going_pods_if_it_was_made_before_that_went() -> None:
    ledger = ledger_of(an_event(Outcome.requested, 50))
    assert ledger.is_of_a_going_pod(an_instance(registered_at=at(40)))
    assert not ledger.is_of_a_going_pod(an_instance(registered_at=at(60)))
    assert not ledger.is_of_a_going_pod(an_instance(ip="10.1.0.99", registered_at=at(40)))


def test_trouble_of_a_handling_from_before_the_end_holds_nothing() -> None:
    begun = an_event(Outcome.requested, 0)
    trouble = an_event(Outcome.retrying, 1, may_have_override=True)
    assert ledger_of(begun, trouble).holds("eu", KEY[1], KEY[2]), "it may bear our override"
    ended = an_event(Outcome.restored, 100)
    for taken_up, is_held in ((50, False), (150, True)):
        later = an_event(Outcome.retrying, 200, may_have_override=True, taken_up_at=at(taken_up))
        ledger = ledger_of(begun, trouble, ended, later)
        assert ledger.holds("eu", KEY[1], KEY[2]) is is_held
        assert ledger.turn(KEY) == is_held
