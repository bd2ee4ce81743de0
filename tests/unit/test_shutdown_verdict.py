"""How a pod took its leave: out of service since then, safe from then, ended just then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import NEVER_TAKEN_OUT, Shutdown, ShutdownVerdict, safe_after, shutdown_of
from tests.unit.building import a_command, at
from tests.unit.shutdowns import ONE, OTHER, an_end, begun, history_of, left, out, short_by, story_of, the_story, told

ANN = a_command(requested_by="ann", requested_at=at(3_600), requested_why="INC-1")
BOB = a_command(cause=Cause.asked, requested_by="bob", requested_at=at(1_700))


def judged(*told: Event | PodEnd) -> Shutdown:
    return shutdown_of(story_of(*told))


def graceful(*told: Event | PodEnd) -> bool:
    return judged(*told) == Shutdown(grace=ShutdownVerdict.graceful)


def short(*told: Event | PodEnd) -> int | None:
    """By how many seconds, of what was not graceful."""
    shutdown = judged(*told)
    assert shutdown.grace is ShutdownVerdict.not_graceful
    return shutdown.short_seconds


def test_a_pod_that_serves_until_no_caller_uses_it_any_more_leaves_gracefully() -> None:
    assert shutdown_of(left(at(95))) == Shutdown(grace=ShutdownVerdict.graceful)
    assert shutdown_of(left(at(500), why="its sleep hook waits 500 s")).why == "", "there is nothing to mend"
    assert shutdown_of(left(at(95))).told == "graceful"


def test_a_pod_that_ends_before_that_does_not_and_it_is_told_by_how_much_and_why() -> None:
    shutdown = shutdown_of(short_by(94))
    assert shutdown == Shutdown(
        grace=ShutdownVerdict.not_graceful, short_by=timedelta(seconds=94), why="it has no preStop hook"
    )
    assert shutdown.told == "not graceful, 94 s short"


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (-0.001, "graceful"),
        (0, "graceful"),
        (2, "graceful"),
        (2.000001, "not graceful, 3 s short"),
        (3, "not graceful, 3 s short"),
        (93.2, "not graceful, 94 s short"),
    ],
)
def test_two_seconds_are_to_spare_and_what_is_missing_is_rounded_up(missing: float, told: str) -> None:
    assert shutdown_of(short_by(missing)).told == told


def test_what_was_out_of_service_only_after_its_end_is_short_by_more_than_the_window() -> None:
    assert short(begun(), an_end(1), out(4)) == 98
    assert short(begun(), out(4), an_end(1)) == 98


def test_nothing_is_said_while_it_serves_or_while_it_is_not_known_to_be_out() -> None:
    for record in (story_of(begun()), story_of(begun(), out()), story_of(begun(), an_end(1))):
        assert shutdown_of(record) == Shutdown(grace=ShutdownVerdict.to_come)


def test_the_last_of_its_instances_counts() -> None:
    outs = (out(0.5), out(20, target=OTHER))
    assert short(begun(), *outs, an_end(100)) == short(begun(), *reversed(outs), an_end(100)) == 15
    assert graceful(begun(), *outs, an_end(115))


def test_each_region_is_judged_for_itself_by_the_same_end() -> None:
    us = a_command(region="us", drain_id="of-us")
    end = an_end(100, drain_ids=(a_command().drain_id, "of-us"))
    history = history_of(begun(), begun(0, us), out(1), out(30, us), end)
    assert {record.region: shutdown_of(record).told for record in history} == {
        "eu": "graceful",
        "us": "not graceful, 25 s short",
    }


def test_what_had_gone_by_itself_counts_from_when_it_was_found_gone() -> None:
    gone = told(Outcome.already_gone, 40, target=ONE, safe_at=at(97))
    assert short(begun(), gone, an_end(3)) == 94
    assert graceful(begun(), gone, an_end(97))


def test_what_was_out_before_it_was_found_gone_counts_from_when_it_was_out() -> None:
    late = told(Outcome.already_gone, 40, target=ONE, safe_at=at(135))
    assert graceful(begun(), out(0.5), late, an_end(96))
    assert graceful(begun(), out(0.5), told(Outcome.removed, 300, target=ONE), late, an_end(96))


def test_what_was_back_in_service_is_safe_only_after_it_was_taken_out_again() -> None:
    back = told(Outcome.requested, 50, reason="it was back in service", target=ONE, safe_at=at(145))
    assert short(begun(), out(0.5), back, an_end(100)) == 45
    assert short(begun(), out(0.5), back, an_end(100), out(52)) == 45, "it was out by then, as was told"


def test_what_a_person_has_put_back_and_is_out_again_is_safe_later() -> None:
    put_back = told(Outcome.restored, 1_800, BOB, target=ONE)
    again = (begun(0, BOB), put_back, begun(3_600, ANN), out(3_601, ANN))
    assert short(begun(), out(0.5), *again, an_end(3_605)) == 91
    assert judged(begun(), out(0.5), *again[:3], an_end(3_605)).grace is ShutdownVerdict.to_come


@pytest.mark.parametrize("before", [Outcome.removed, Outcome.already_gone])
def test_a_replay_of_what_is_gone_makes_nothing_safe_any_later(before: Outcome) -> None:
    gone = (begun(), out(0.5), an_end(96), told(before, 300, target=ONE), begun(3_600, ANN))
    assert graceful(*gone, out(3_601, ANN))
    assert graceful(*gone, told(Outcome.already_gone, 3_601, ANN, target=ONE, safe_at=at(3_696)))


def test_what_is_out_and_is_taken_out_once_more_by_hand_is_not_safe_any_later() -> None:
    assert graceful(begun(), out(0.5), begun(3_600, ANN), out(3_601, ANN), an_end(3_602))


def test_a_deletion_that_failed_and_is_asked_for_again_makes_nothing_safe_any_later() -> None:
    failed = told(Outcome.failed, 3_000, target=ONE, reason="HTTP 500")
    once = (begun(), out(0.5), an_end(100), failed)
    assert graceful(*once)
    assert graceful(*once, begun(3_600, ANN), out(3_601, ANN))
    assert graceful(*once, begun(3_600, ANN), told(Outcome.already_gone, 3_601, ANN, target=ONE, safe_at=at(3_696)))


def test_what_was_given_up_was_given_to_callers_when_it_ended_nobody_knows_for_how_long() -> None:
    shutdown = judged(begun(), told(Outcome.failed, 60, target=ONE, reason="HTTP 403"), an_end(3))
    assert shutdown == Shutdown(grace=ShutdownVerdict.not_graceful, why="it ended while callers were still given it")
    assert (shutdown.told, shutdown.short_seconds) == ("not graceful", None)


def test_what_was_given_up_and_is_out_in_the_end_is_short_by_all_the_time_between() -> None:
    failed = told(Outcome.failed, 60, target=ONE, reason="HTTP 403")
    once = (begun(), failed, an_end(3))
    assert judged(*once, begun(3_600, ANN)).grace is ShutdownVerdict.to_come
    assert short(*once, begun(3_600, ANN), out(3_601, ANN)) == 3_693


@pytest.mark.parametrize("outcome", NEVER_TAKEN_OUT)
def test_what_was_never_taken_out_is_not_judged_and_it_is_told_why(outcome: Outcome) -> None:
    for end in ((), (an_end(1),), (an_end(None),)):
        shutdown = judged(begun(), told(outcome, 5), *end)
        assert shutdown == Shutdown(grace=ShutdownVerdict.unjudged, why=NEVER_TAKEN_OUT[outcome])
        assert shutdown.told == "not judged"


def test_one_instance_that_is_refused_does_not_hide_that_the_other_was_out() -> None:
    refused = told(Outcome.refused, 1, target=OTHER, reason="it is another pod's")
    assert short(begun(), out(0.5), refused, an_end(1)) == 95


def test_an_end_that_nobody_saw_is_not_judged() -> None:
    shutdown = judged(begun(), out(), an_end(None))
    assert shutdown == Shutdown(grace=ShutdownVerdict.unjudged, why="nobody saw it end")


def test_an_end_that_one_replica_has_missed_and_another_one_has_seen_is_judged() -> None:
    for ends in ((an_end(None), an_end(1)), (an_end(1), an_end(None))):
        assert short(begun(), out(0.5), *ends) == 95
        assert short(*ends, begun(), out(0.5)) == 95


def test_the_end_that_is_told_first_is_kept() -> None:
    record = story_of(begun(), out(), an_end(1), an_end(2))
    assert record.end == an_end(1)


def test_until_when_it_has_to_serve_is_told_while_that_lies_ahead_and_it_serves() -> None:
    record = story_of(begun(), out(0.5))
    assert safe_after(record, at(1)) == at(95.5)
    assert safe_after(record, at(95.5)) is None
    assert safe_after(story_of(begun()), at(1)) is None
    assert safe_after(story_of(begun(), out(0.5), an_end(1)), at(2)) is None


def test_what_a_person_has_put_back_does_not_wait_for_anything() -> None:
    by_hand = a_command(cause=Cause.asked, requested_by="ann", requested_at=at(0))
    assert safe_after(story_of(begun(0, by_hand), out(0.5, by_hand)), at(1)) == at(95.5)
    put_back = told(Outcome.restored, 5, by_hand, target=ONE)
    assert safe_after(story_of(begun(0, by_hand), out(0.5, by_hand), put_back), at(6)) is None


def test_who_puts_a_successor_back_in_service_does_not_take_back_what_was_said_of_the_old_pod() -> None:
    restored = told(Outcome.restored, 3_601, ANN, target=ONE, reason="shop/orders-1 holds the id now")
    assert short(begun(), out(0.5), an_end(1), restored) == 95


def test_the_id_that_a_successor_holds_again_does_not_make_the_old_pod_any_safer() -> None:
    record = story_of(begun(), out(0.5), told(Outcome.restored, 10, target=ONE))
    assert safe_after(record, at(11)) == at(95.5)
    assert short(begun(), out(0.5), told(Outcome.restored, 10, target=ONE), an_end(12)) == 84


EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda seconds, target: out(seconds, target=target), st.integers(0, 90), st.sampled_from((ONE, OTHER))
        ),
        st.builds(
            lambda outcome, seconds, target: told(outcome, seconds, target=target, reason="a node is away"),
            st.sampled_from(sorted(Outcome)),
            st.integers(0, 90),
            st.sampled_from((ONE, OTHER, None)),
        ),
        st.builds(
            lambda seconds: told(
                Outcome.requested, seconds, target=ONE, reason="it was back in service", safe_at=at(seconds + 95)
            ),
            st.integers(0, 90),
        ),
        st.builds(
            lambda seconds: told(Outcome.already_gone, seconds, target=ONE, safe_at=at(seconds + 95)),
            st.integers(0, 90),
        ),
        st.just(begun(50, ANN)),
    ),
    min_size=1,
    max_size=6,
)
ENDS = st.lists(st.sampled_from((an_end(1), an_end(96), an_end(None), an_end(190))), max_size=3)


def said(record: DrainRecord) -> tuple[object, ...]:
    return shutdown_of(record), record.safe_at, record.end, safe_after(record, at(30))


@given(EVENTS, ENDS, st.data())
def test_the_verdict_is_the_same_however_the_two_streams_are_read(
    events: list[Event], ends: list[PodEnd], data: st.DataObject
) -> None:
    turns = data.draw(st.permutations([True] * len(events) + [False] * len(ends)))
    left, right = iter(events), iter(ends)
    mixed: list[Event | PodEnd] = [next(left) if turn else next(right) for turn in turns]
    assert said(story_of(*mixed)) == said(story_of(*events, *ends))


@given(EVENTS, ENDS, st.data())
def test_what_is_told_twice_changes_no_verdict(events: list[Event], ends: list[PodEnd], data: st.DataObject) -> None:
    once: list[Event | PodEnd] = [*events, *ends]
    again = data.draw(st.lists(st.sampled_from(once), max_size=6))
    assert said(story_of(*once)) == said(story_of(*once, *again))


@given(EVENTS, ENDS)
def test_whatever_is_told_a_verdict_has_its_words(events: list[Event], ends: list[PodEnd]) -> None:
    shutdown = shutdown_of(the_story(history_of(*events, *ends)))
    assert shutdown.told.startswith(shutdown.grace.value)
    assert (shutdown.short_seconds is None) == ("short" not in shutdown.told)
    if shutdown.short_seconds is not None:
        assert shutdown.grace is ShutdownVerdict.not_graceful
        assert shutdown.short_seconds >= 2
    if shutdown.grace is ShutdownVerdict.unjudged:
        assert shutdown.why


def test_while_one_of_two_instances_is_still_given_to_callers_nothing_is_safe_and_nobody_is_graceful() -> None:
    away = told(Outcome.requested, 1, target=OTHER, reason="a node is away")
    record = story_of(begun(), out(0.5), away, an_end(100))
    assert record.safe_at is None
    assert shutdown_of(record) == Shutdown(grace=ShutdownVerdict.to_come)
    assert (
        short(begun(), out(0.5), away, an_end(100), told(Outcome.out_of_service, 50, target=OTHER, safe_at=at(145)))
        == 45
    )
    given_up = judged(
        begun(), out(0.5), away, an_end(100), told(Outcome.failed, 90, target=OTHER, reason="a node is away")
    )
    assert (given_up.grace, given_up.why) == (
        ShutdownVerdict.not_graceful,
        "it ended while callers were still given it",
    )
