"""Many drains from the event log: bounded, by id, in the order in which their pods began to go."""

from __future__ import annotations

from controller.domain.drain_index import DrainIndex
from controller.domain.events import Event, Outcome, make_event
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd
from tests.unit.building import a_command, a_pod, a_target, at, terminating
from tests.unit.shutdowns import an_end


def told(drain: str, outcome: Outcome = Outcome.requested, seconds: float = 0, **facts: str) -> Event:
    pod = terminating(a_pod(f"uid-{drain}", name=drain), asked_at=at(seconds))
    command = a_command(pod, drain_id=drain, since_at=at(seconds), **facts)
    target = None if outcome is Outcome.requested else a_target(id=drain)
    return make_event(command, outcome, at(seconds), target=target)


def test_what_changes_nothing_gives_no_drain() -> None:
    history = DrainIndex()
    assert history.apply(told("a")) is history.get("a")
    assert history.apply(told("a")) is None
    assert history.apply(told("a", Outcome.removed)) is history.get("a")
    assert (len(history), history.events) == (1, 3)


def test_the_drain_that_nothing_was_told_of_for_longest_is_forgotten_first() -> None:
    history = DrainIndex(limit=3)
    for name in ("a", "b", "c"):
        history.apply(told(name))
    history.apply(told("a", Outcome.out_of_service))
    history.apply(told("a"))
    history.apply(told("b"))  # told twice is no news
    history.apply(told("d"))
    assert sorted(record.drain_id for record in history) == ["a", "c", "d"]
    assert history.forgotten == 1


def test_memory_is_bounded_however_long_the_log_is() -> None:
    history = DrainIndex(limit=100, timelines=True)
    for number in range(5_000):
        history.apply(told(f"d{number}", seconds=number))
    assert len(history) == 100
    assert history.forgotten == 4_900
    assert [record.drain_id for record in history.select(Selection())] == [
        f"d{number}" for number in range(4_900, 5_000)
    ]


def test_only_one_clusters_drains_when_one_is_named() -> None:
    history = DrainIndex(cluster="here")
    assert history.apply(told("a", cluster="there")) is None
    assert history.apply(told("b", cluster="here")) is not None
    assert len(history) == 1


def test_the_chosen_come_in_the_order_in_which_their_pods_began_to_go() -> None:
    history = DrainIndex()
    for name, seconds in (("late", 30), ("early", 10), ("middle", 20)):
        history.apply(told(name, seconds=seconds))
    history.apply(told("early", Outcome.removed, 10))
    assert [record.drain_id for record in history.select(Selection())] == ["early", "middle", "late"]
    assert [record.drain_id for record in history.select(Selection(states=frozenset({Outcome.removed})))] == ["early"]


def test_timelines_are_kept_only_where_they_are_wanted() -> None:
    without, with_them = DrainIndex(), DrainIndex(timelines=True)
    for history in (without, with_them):
        history.apply(told("a"))
    assert [len(record.events) for history in (without, with_them) for record in history] == [0, 1]


def ended(*drains: str, seconds: float | None = 1, cluster: str = "test") -> PodEnd:
    return an_end(seconds, drain_ids=drains, cluster=cluster)


def test_a_pods_end_changes_each_of_its_drains_once() -> None:
    history = DrainIndex()
    for name in ("a", "b"):
        history.apply(told(name))
    assert history.apply_end(ended("a", "b", "c")) == [history.get("a"), history.get("b")]
    assert history.apply_end(ended("a", "b", "c")) == []
    assert [record.end for record in history] == [ended("a", "b", "c")] * 2


def test_an_end_that_is_read_before_its_drain_waits_for_it() -> None:
    history = DrainIndex()
    assert history.apply_end(ended("a")) == []
    assert (len(history), history.get("a")) == (0, None)
    record = history.apply(told("a"))
    assert record is not None
    assert record.end == ended("a")


def test_an_end_that_somebody_saw_takes_the_place_of_one_that_nobody_saw_and_of_no_other() -> None:
    unseen, seen, late = ended("a", seconds=None), ended("a"), ended("a", seconds=9)
    for begins_first in (True, False):
        history = DrainIndex()
        if begins_first:
            history.apply(told("a"))
        changes = [bool(history.apply_end(end)) for end in (unseen, unseen, seen, late, unseen)]
        assert changes == [begins_first, False, begins_first, False, False]
        history.apply(told("a"))
        assert [record.end for record in history] == [seen]


def test_ends_of_drains_that_are_never_told_are_kept_up_to_a_bound_the_oldest_go_first() -> None:
    history = DrainIndex(limit=100)
    for number in range(5_000):
        history.apply_end(ended(f"d{number}"))
    for number in range(4_899, 4_901):
        history.apply(told(f"d{number}"))
    assert [record.end is not None for record in history] == [False, True]
    assert len(history) == 2


def test_another_clusters_ends_are_not_taken_when_one_is_named() -> None:
    history = DrainIndex(cluster="here")
    history.apply(told("a", cluster="here"))
    assert history.apply_end(ended("a", cluster="there")) == []
    assert history.apply_end(ended("a", cluster="here")) == [history.get("a")]
