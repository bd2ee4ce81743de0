"""The shutdown verdict: since when it was out of service, until when it was needed, and when it ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome
from controller.domain.reason import ReasonCode
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict, safe_after, shutdown_of
from tests.unit.building import a_command, a_reason, at
from tests.unit.shutdowns import (
    ONE,
    OTHER,
    an_end,
    an_event,
    begun,
    index_of,
    out,
    record_of,
    short_by,
    shut_down,
    the_record,
)

ANN = a_command(requested_by="ann", requested_at=at(3_600), requested_why="INC-1")
BACK = a_reason("it was back in service", ReasonCode.back_in_service)
BOB = a_command(cause=Cause.asked, requested_by="bob", requested_at=at(1_700))


def judged(*entries: Event | PodEnd) -> Shutdown:
    return shutdown_of(record_of(*entries))


def graceful(*entries: Event | PodEnd) -> bool:
    return judged(*entries) == Shutdown(verdict=ShutdownVerdict.graceful)


def short(*entries: Event | PodEnd) -> int | None:
    """Return by how many seconds it was not graceful."""
    shutdown = judged(*entries)
    assert shutdown.verdict is ShutdownVerdict.not_graceful
    return shutdown.short_seconds


def test_a_pod_that_serves_until_no_caller_uses_it_is_graceful() -> None:
    assert shutdown_of(shut_down(at(95))) == Shutdown(verdict=ShutdownVerdict.graceful)
    assert shutdown_of(shut_down(at(500), why="its sleep hook waits 500 s")).reason == "", "there is nothing to fix"
    assert shutdown_of(shut_down(at(95))).text == "graceful"


def test_a_pod_that_ends_before_that_is_short_by_the_difference() -> None:
    shutdown = shutdown_of(short_by(94))
    assert shutdown == Shutdown(
        verdict=ShutdownVerdict.not_graceful, short_by=timedelta(seconds=94), reason="it has no preStop hook"
    )
    assert shutdown.text == "not graceful, 94 s short"


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (-0.001, "graceful"),
        (0, "graceful"),
        (2, "graceful"),
        (2.000001, "not graceful, 3 s short"),
        (3, "not graceful, 3 s short"),
        (93.2, "not graceful, 94 s short"),
    ],
)
def test_two_seconds_are_to_spare_and_what_is_missing_is_rounded_up(missing: float, text: str) -> None:
    assert shutdown_of(short_by(missing)).text == text


def test_what_was_out_after_its_end_is_short_by_more_than_the_window() -> None:
    assert short(begun(), an_end(1), out(4)) == 98
    assert short(begun(), out(4), an_end(1)) == 98


def test_the_verdict_is_pending_while_it_serves_or_is_not_known_to_be_out() -> None:
    for record in (record_of(begun()), record_of(begun(), out()), record_of(begun(), an_end(1))):
        assert shutdown_of(record) == Shutdown(verdict=ShutdownVerdict.pending)


def test_the_last_of_its_instances_counts() -> None:
    outs = (out(0.5), out(20, target=OTHER))
    assert short(begun(), *outs, an_end(100)) == short(begun(), *reversed(outs), an_end(100)) == 15
    assert graceful(begun(), *outs, an_end(115))


def test_each_region_is_judged_for_itself_by_the_same_end() -> None:
    us = a_command(region="us", drain_id="of-us")
    end = an_end(100, drain_ids=(a_command().drain_id, "of-us"))
    index = index_of(begun(), begun(0, us), out(1), out(30, us), end)
    assert {record.region: shutdown_of(record).text for record in index} == {
        "eu": "graceful",
        "us": "not graceful, 25 s short",
    }


def test_what_had_gone_by_itself_counts_from_when_it_was_found_gone() -> None:
    gone = an_event(Outcome.already_gone, 40, target=ONE, safe_at=at(97))
    assert short(begun(), gone, an_end(3)) == 94
    assert graceful(begun(), gone, an_end(97))


def test_what_was_out_before_it_was_found_gone_counts_from_when_it_was_out() -> None:
    late = an_event(Outcome.already_gone, 40, target=ONE, safe_at=at(135))
    assert graceful(begun(), out(0.5), late, an_end(96))
    assert graceful(begun(), out(0.5), an_event(Outcome.removed, 300, target=ONE), late, an_end(96))


def test_what_was_back_in_service_is_safe_after_it_was_out_again() -> None:
    back = an_event(Outcome.retrying, 50, reason=BACK, target=ONE, safe_at=at(145))
    assert short(begun(), out(0.5), back, an_end(100)) == 45
    assert short(begun(), out(0.5), back, an_end(100), out(52)) == 45, "it was out by then"


def test_what_a_person_has_put_back_and_is_out_again_is_safe_later() -> None:
    put_back = an_event(Outcome.restored, 1_800, BOB, target=ONE)
    again = (begun(0, BOB), put_back, begun(3_600, ANN), out(3_601, ANN))
    assert short(begun(), out(0.5), *again, an_end(3_605)) == 91
    assert judged(begun(), out(0.5), *again[:3], an_end(3_605)).verdict is ShutdownVerdict.pending


@pytest.mark.parametrize("before", [Outcome.removed, Outcome.already_gone])
def test_a_replay_of_what_is_gone_makes_nothing_safe_any_later(before: Outcome) -> None:
    gone = (begun(), out(0.5), an_end(96), an_event(before, 300, target=ONE), begun(3_600, ANN))
    assert graceful(*gone, out(3_601, ANN))
    assert graceful(*gone, an_event(Outcome.already_gone, 3_601, ANN, target=ONE, safe_at=at(3_696)))


def test_what_is_out_and_drained_again_by_hand_is_not_safe_any_later() -> None:
    assert graceful(begun(), out(0.5), begun(3_600, ANN), out(3_601, ANN), an_end(3_602))


def test_a_replay_of_a_failed_deletion_makes_nothing_safe_any_later() -> None:
    failed = an_event(Outcome.failed, 3_000, target=ONE, reason=a_reason("HTTP 500", ReasonCode.bad_answer))
    once = (begun(), out(0.5), an_end(100), failed)
    assert graceful(*once)
    assert graceful(*once, begun(3_600, ANN), out(3_601, ANN))
    assert graceful(*once, begun(3_600, ANN), an_event(Outcome.already_gone, 3_601, ANN, target=ONE, safe_at=at(3_696)))


def test_what_was_given_up_is_not_graceful_by_an_unknown_time() -> None:
    shutdown = judged(
        begun(), an_event(Outcome.failed, 60, target=ONE, reason=a_reason("HTTP 403", ReasonCode.denied)), an_end(3)
    )
    assert shutdown == Shutdown(
        verdict=ShutdownVerdict.not_graceful, reason="it ended while callers were still given it"
    )
    assert (shutdown.text, shutdown.short_seconds) == ("not graceful", None)


def test_what_was_given_up_and_is_out_later_is_short_by_the_time_between() -> None:
    failed = an_event(Outcome.failed, 60, target=ONE, reason=a_reason("HTTP 403", ReasonCode.denied))
    once = (begun(), failed, an_end(3))
    assert judged(*once, begun(3_600, ANN)).verdict is ShutdownVerdict.pending
    assert short(*once, begun(3_600, ANN), out(3_601, ANN)) == 3_693


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.not_registered, "not registered, as far as its region shows: no caller was given it"),
        (Outcome.refused, "its drain was refused"),
        (Outcome.superseded, "a newer process held its id"),
    ],
)
def test_what_was_never_taken_out_is_not_judged_with_its_reason(outcome: Outcome, reason: str) -> None:
    for end in ((), (an_end(1),), (an_end(None),)):
        shutdown = judged(begun(), an_event(outcome, 5), *end)
        assert shutdown == Shutdown(verdict=ShutdownVerdict.not_judged, reason=reason)
        assert shutdown.text == "not judged"


def test_one_instance_that_is_refused_does_not_hide_that_the_other_was_out() -> None:
    refused = an_event(Outcome.refused, 1, target=OTHER, reason=a_reason("it is another pod's", ReasonCode.not_its_own))
    assert short(begun(), out(0.5), refused, an_end(1)) == 95


def test_an_end_that_no_watch_saw_is_not_judged() -> None:
    shutdown = judged(begun(), out(), an_end(None))
    assert shutdown == Shutdown(verdict=ShutdownVerdict.not_judged, reason="no watch saw it end")


def test_an_end_that_only_one_replica_has_seen_is_judged() -> None:
    for ends in ((an_end(None), an_end(1)), (an_end(1), an_end(None))):
        assert short(begun(), out(0.5), *ends) == 95
        assert short(*ends, begun(), out(0.5)) == 95


def test_the_end_that_comes_first_is_kept() -> None:
    record = record_of(begun(), out(), an_end(1), an_end(2))
    assert record.end == an_end(1)


def test_safe_after_is_known_while_it_lies_ahead_and_the_pod_serves() -> None:
    record = record_of(begun(), out(0.5))
    assert safe_after(record, at(1)) == at(95.5)
    assert safe_after(record, at(95.5)) is None
    assert safe_after(record_of(begun()), at(1)) is None
    assert safe_after(record_of(begun(), out(0.5), an_end(1)), at(2)) is None


def test_what_a_person_has_put_back_does_not_wait_for_anything() -> None:
    by_hand = a_command(cause=Cause.asked, requested_by="ann", requested_at=at(0))
    assert safe_after(record_of(begun(0, by_hand), out(0.5, by_hand)), at(1)) == at(95.5)
    put_back = an_event(Outcome.restored, 5, by_hand, target=ONE)
    assert safe_after(record_of(begun(0, by_hand), out(0.5, by_hand), put_back), at(6)) is None


def test_restoring_a_successor_does_not_change_the_old_pods_verdict() -> None:
    restored = an_event(
        Outcome.restored,
        3_601,
        ANN,
        target=ONE,
        reason=a_reason("shop/orders-1 holds the id now", ReasonCode.taken_over),
    )
    assert short(begun(), out(0.5), an_end(1), restored) == 95


def test_an_id_that_a_successor_holds_makes_the_old_pod_no_safer() -> None:
    record = record_of(begun(), out(0.5), an_event(Outcome.restored, 10, target=ONE))
    assert safe_after(record, at(11)) == at(95.5)
    assert short(begun(), out(0.5), an_event(Outcome.restored, 10, target=ONE), an_end(12)) == 84


EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda seconds, target: out(seconds, target=target), st.integers(0, 90), st.sampled_from((ONE, OTHER))
        ),
        st.builds(
            lambda outcome, seconds, target: an_event(outcome, seconds, target=target, reason=a_reason()),
            st.sampled_from(sorted(Outcome)),
            st.integers(0, 90),
            st.sampled_from((ONE, OTHER, None)),
        ),
        st.builds(
            lambda seconds: an_event(Outcome.retrying, seconds, target=ONE, reason=BACK, safe_at=at(seconds + 95)),
            st.integers(0, 90),
        ),
        st.builds(
            lambda seconds: an_event(Outcome.already_gone, seconds, target=ONE, safe_at=at(seconds + 95)),
            st.integers(0, 90),
        ),
        st.just(begun(50, ANN)),
    ),
    min_size=1,
    max_size=6,
)
ENDS = st.lists(st.sampled_from((an_end(1), an_end(96), an_end(None), an_end(190))), max_size=3)


def summary(record: DrainRecord) -> tuple[object, ...]:
    return shutdown_of(record), record.safe_at, record.end, safe_after(record, at(30))


@given(EVENTS, ENDS, st.data())
def test_the_verdict_is_the_same_however_the_two_streams_are_read(
    events: list[Event], ends: list[PodEnd], data: st.DataObject
) -> None:
    turns = data.draw(st.permutations([True] * len(events) + [False] * len(ends)))
    left, right = iter(events), iter(ends)
    mixed: list[Event | PodEnd] = [next(left) if turn else next(right) for turn in turns]
    assert summary(record_of(*mixed)) == summary(record_of(*events, *ends))


@given(EVENTS, ENDS, st.data())
def test_what_comes_twice_changes_no_verdict(events: list[Event], ends: list[PodEnd], data: st.DataObject) -> None:
    once: list[Event | PodEnd] = [*events, *ends]
    again = data.draw(st.lists(st.sampled_from(once), max_size=6))
    assert summary(record_of(*once)) == summary(record_of(*once, *again))


@given(EVENTS, ENDS)
def test_any_verdict_has_its_words(events: list[Event], ends: list[PodEnd]) -> None:
    shutdown = shutdown_of(the_record(index_of(*events, *ends)))
    is_pending = shutdown.verdict is ShutdownVerdict.pending
    assert shutdown.text.replace(" ", "_").startswith("" if is_pending else shutdown.verdict)
    assert is_pending is (not shutdown.text)
    assert (shutdown.short_seconds is None) == ("short" not in shutdown.text)
    if shutdown.short_seconds is not None:
        assert shutdown.verdict is ShutdownVerdict.not_graceful
        assert shutdown.short_seconds >= 2
    if shutdown.verdict is ShutdownVerdict.not_judged:
        assert shutdown.reason


def test_with_one_of_two_instances_still_in_service_nothing_is_graceful() -> None:
    away = an_event(Outcome.retrying, 1, target=OTHER, reason=a_reason())
    record = record_of(begun(), out(0.5), away, an_end(100))
    assert record.safe_at is None
    assert shutdown_of(record) == Shutdown(verdict=ShutdownVerdict.pending)
    assert (
        short(begun(), out(0.5), away, an_end(100), an_event(Outcome.out_of_service, 50, target=OTHER, safe_at=at(145)))
        == 45
    )
    given_up = judged(
        begun(), out(0.5), away, an_end(100), an_event(Outcome.failed, 90, target=OTHER, reason=a_reason())
    )
    assert (given_up.verdict, given_up.reason) == (
        ShutdownVerdict.not_graceful,
        "it ended while callers were still given it",
    )


def test_a_hook_that_is_long_enough_is_not_blamed_where_it_was_out_late() -> None:
    late = record_of(begun(), out(62), an_end(95, why="its sleep hook waits 95 s"))
    assert shutdown_of(late).short_seconds == 62
    assert shutdown_of(late).reason == "it was out of service only 62 s after it was asked to go"
    both = record_of(begun(), out(62), an_end(20, why="its sleep hook waits 20 s"))
    assert shutdown_of(both).reason == "its sleep hook waits 20 s"


def test_what_is_registered_no_more_after_it_was_given_up_is_no_proof() -> None:
    failed = an_event(Outcome.failed, 60, reason=a_reason("unreachable", ReasonCode.unreachable))
    again = an_event(Outcome.not_registered, 120, ANN)
    shutdown = judged(begun(), failed, an_end(95), again)
    assert shutdown.verdict is ShutdownVerdict.not_judged
    assert "had been given up" in shutdown.reason
