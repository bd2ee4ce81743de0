"""What the demo reports as well and what it reports as wrong, on records made by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.demo.record import Instance, Record
from tests.demo.verdict import Verdict, judge, percentile

NODES = ("eu-0", "eu-1")
LEASE = 90
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)

Statuses = list[tuple[float, str | None]]
"""Seconds since the beginning, and what a node shows from then on. Pods are deleted at 10, SIGTERM is at 15."""

OLD: Statuses = [(0, "UP"), (10.1, "OUT_OF_SERVICE"), (30, None)]
NEW: Statuses = [(12, "STARTING"), (13, "UP")]


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def instance(number: int, *records: Statuses, old: bool = True, silent: bool = False) -> Instance:
    """With a list of statuses for each node; one list alone is shown by all nodes."""
    made = Instance(f"app{number}", f"{number}:app:1", f"pod-{number}", f"uid-{number}{old}", old, silent)
    if old:
        made.deleted_at, made.sigterm_at, made.exited_at = at(10), at(15), at(16)
    for node, record in zip(NODES, records * (len(NODES) if len(records) == 1 else 1), strict=True):
        for seconds, status in record:
            made.apply(node, status, at(seconds))
    return made


def verdict_on(*instances: Instance) -> Verdict:
    record = Record(NODES, {one.uid: one for one in instances})
    return judge(record, {}, lease_seconds=LEASE)


def test_an_instance_that_was_drained_in_time_and_is_gone_is_well() -> None:
    verdict = verdict_on(instance(1, OLD), instance(1, NEW, old=False))
    assert verdict.good
    assert (verdict.old, verdict.drained, verdict.in_time, verdict.deregistered, verdict.deleted) == (1, 1, 1, 1, 0)
    assert (verdict.new, verdict.disturbed, verdict.left) == (1, 0, ())
    assert verdict.latencies == pytest.approx((0.1,))
    assert verdict.narrowest == pytest.approx(4.9)


def test_a_silent_instance_that_is_gone_was_deleted() -> None:
    verdict = verdict_on(instance(1, OLD, silent=True))
    assert verdict.good
    assert (verdict.silent, verdict.deleted, verdict.deregistered) == (1, 1, 0)


def test_the_latency_is_that_of_the_later_node() -> None:
    later: Statuses = [(0, "UP"), (10.7, "OUT_OF_SERVICE"), (30, None)]
    assert verdict_on(instance(1, OLD, later)).latencies == pytest.approx((0.7,))


def test_a_reading_that_outran_the_watch_counts_as_at_once() -> None:
    early: Statuses = [(0, "UP"), (9.98, "OUT_OF_SERVICE"), (30, None)]
    verdict = verdict_on(instance(1, early))
    assert verdict.good
    assert verdict.latencies == (0,)


def test_down_after_out_of_service_is_no_fault() -> None:
    assert verdict_on(instance(1, [*OLD[:2], (15.2, "DOWN"), (15.4, None)])).good


WRONG_OLD: list[tuple[Statuses, str]] = [
    ([(0, "UP")], "never seen OUT_OF_SERVICE (it showed UP)"),
    ([(0, "UP")], "still registered, UP"),
    ([], "still registered, -"),
    ([(0, "UP"), (16, None)], "never seen OUT_OF_SERVICE (it showed UP, gone)"),
    ([(0, "UP"), (16.5, "OUT_OF_SERVICE"), (30, None)], "OUT_OF_SERVICE only 1.5 s after its process's SIGTERM"),
    ([(0, "UP"), (5, "OUT_OF_SERVICE"), (30, None)], "OUT_OF_SERVICE before its pod was deleted"),
    ([*OLD[:2], (11, "UP"), (12, "OUT_OF_SERVICE"), (30, None)], "UP again after OUT_OF_SERVICE"),
    ([*OLD, (31, "OUT_OF_SERVICE")], "still registered, OUT_OF_SERVICE"),
    ([*OLD[:2], (200, None)], "gone only 184 s after its process ended"),
]


@pytest.mark.parametrize(("record", "words"), WRONG_OLD)
def test_what_is_wrong_with_an_old_instance_at_one_node_is_reported(record: Statuses, words: str) -> None:
    verdict = verdict_on(instance(1, OLD, record, silent=True))
    assert not verdict.good
    assert any(problem.startswith(f"1:app:1 at eu-1: {words}") for problem in verdict.problems)
    assert not any("eu-0" in problem for problem in verdict.problems)


def test_one_second_after_sigterm_still_counts_and_its_margin_is_reported() -> None:
    verdict = verdict_on(instance(1, [(0, "UP"), (15.9, "OUT_OF_SERVICE"), (30, None)]))
    assert verdict.good
    assert verdict.in_time == 1
    assert verdict.narrowest == pytest.approx(-0.9)


def test_what_came_back_at_one_node_counts_as_not_deleted() -> None:
    verdict = verdict_on(instance(1, OLD, [*OLD, (31, "OUT_OF_SERVICE")], silent=True))
    assert verdict.left == ("1:app:1",)
    assert verdict.deleted == 0


def test_an_instance_whose_pod_got_no_sigterm_is_wrong() -> None:
    one = instance(1, OLD)
    one.sigterm_at = None
    verdict = verdict_on(one)
    assert verdict.in_time == 0
    assert verdict.problems == ("1:app:1 in its pod: no SIGTERM seen",)


WRONG_NEW: list[tuple[Statuses, str]] = [
    ([*NEW, (14, "OUT_OF_SERVICE"), (15, "UP")], "showed OUT_OF_SERVICE"),
    ([*NEW, (14, None), (15, "UP")], "showed gone"),
    ([(12, "STARTING")], "is not UP in the end but STARTING"),
    ([], "is not UP in the end but not registered"),
]


@pytest.mark.parametrize(("record", "words"), WRONG_NEW)
def test_what_is_wrong_with_a_new_instance_is_reported(record: Statuses, words: str) -> None:
    (problem,) = verdict_on(instance(2, NEW, record, old=False)).problems
    assert problem.startswith("2:app:1 at eu-1: a new instance that ")
    assert problem.endswith(words)


def test_missing_instances_are_wrong_whatever_the_others_do() -> None:
    record = Record(NODES, {"a": instance(1, OLD), "b": instance(1, NEW, old=False)})
    assert judge(record, {"app1": 1}, lease_seconds=LEASE).good
    assert judge(record, {"app1": 2}, lease_seconds=LEASE).problems == (
        "app1: 1 old instances where there should be 2",
        "app1: 1 new instances where there should be 2",
    )


def test_nothing_seen_is_nothing_drained() -> None:
    verdict = verdict_on()
    assert (verdict.old, verdict.latencies, verdict.narrowest) == (0, (), None)


@pytest.mark.parametrize(("share", "value"), [(0.5, 3), (0.99, 5), (1, 5), (0, 1)])
def test_percentiles_are_values_that_occurred(share: float, value: float) -> None:
    assert percentile([1, 2, 3, 4, 5], share) == value
