"""A region at a glance: which drain has waited longest, and since when."""

from dataclasses import replace
from datetime import timedelta

from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Outcome, make_event
from controller.domain.pods import Pod
from controller.domain.region_state import RegionState, oldest_open
from tests.unit.building import a_command, a_pod, at, terminating

LATER = 3600.0


def a_record(pod: Pod, *, asked_again: float | None = None, **facts: object) -> DrainRecord:
    command = a_command(pod, **facts)
    record = new_record(first := make_event(command, Outcome.requested, at(1)))
    record.apply(first, timeline=False)
    if asked_again is not None:
        again = replace(command, requested_by="ann", requested_at=at(asked_again))
        record.apply(make_event(again, Outcome.requested, at(asked_again)), timeline=False)
    return record


def age(*records: DrainRecord, now: float = LATER) -> timedelta | None:
    return RegionState(region="eu", looked_at=at(now), oldest=oldest_open(records, "eu")).oldest_age


def test_a_drain_waits_since_its_pod_began_to_go() -> None:
    early, late = a_record(terminating(a_pod())), a_record(terminating(a_pod("uid-2")), since_at=at(60))
    assert age(late, early) == timedelta(seconds=LATER)
    assert age(late) == timedelta(seconds=LATER - 60)


def test_what_somebody_asks_for_again_waits_since_then() -> None:
    replayed = a_record(terminating(a_pod()), asked_again=LATER - 5)
    waiting = a_record(terminating(a_pod("uid-2")), since_at=at(LATER - 20))
    assert age(replayed) == timedelta(seconds=5)
    assert age(replayed, waiting) == timedelta(seconds=20)


def test_nothing_waits_in_another_region_or_once_it_is_out_of_service() -> None:
    done = a_record(terminating(a_pod()))
    done.apply(
        make_event(a_command(), Outcome.out_of_service, at(2), app="ORDERS", instance_id="orders-0"), timeline=False
    )
    assert age(done) is None
    assert age(a_record(terminating(a_pod()), region="us")) is None
