"""Many drains from the event log: bounded, by id, in the order in which their pods began to go."""

from __future__ import annotations

from controller.domain.drain_index import DrainIndex
from controller.domain.events import Event, Outcome, make_event
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd
from tests.unit.building import a_command, a_pod, a_target, at, terminating
from tests.unit.shutdowns import an_end


def an_event(drain: str, outcome: Outcome = Outcome.requested, seconds: float = 0, **facts: str) -> Event:
    pod = terminating(a_pod(f"uid-{drain}", name=drain), asked_at=at(seconds))
    command = a_command(pod, drain_id=drain, since_at=at(seconds), **facts)
    target = None if outcome is Outcome.requested else a_target(id=drain)
    return make_event(command, outcome, at(seconds), target=target)


def test_what_changes_nothing_gives_no_drain() -> None:
    index = DrainIndex()
    assert index.apply(an_event("a")) is index.get("a")
    assert index.apply(an_event("a")) is None
    assert index.apply(an_event("a", Outcome.removed)) is index.get("a")
    assert (len(index), index.events) == (1, 3)


def test_the_drain_without_events_for_longest_is_forgotten_first() -> None:
    index = DrainIndex(limit=3)
    for name in ("a", "b", "c"):
        index.apply(an_event(name))
    index.apply(an_event("a", Outcome.out_of_service))
    index.apply(an_event("a"))
    index.apply(an_event("b"))  # told twice is no news
    index.apply(an_event("d"))
    assert sorted(record.drain_id for record in index) == ["a", "c", "d"]
    assert index.forgotten == 1


def test_memory_is_bounded_however_long_the_log_is() -> None:
    index = DrainIndex(limit=100, timelines=True)
    for number in range(5_000):
        index.apply(an_event(f"d{number}", seconds=number))
    assert len(index) == 100
    assert index.forgotten == 4_900
    assert [record.drain_id for record in index.select(Selection())] == [f"d{number}" for number in range(4_900, 5_000)]


def test_only_one_clusters_drains_when_one_is_named() -> None:
    index = DrainIndex(cluster="here")
    assert index.apply(an_event("a", cluster="there")) is None
    assert index.apply(an_event("b", cluster="here")) is not None
    assert len(index) == 1


def test_the_chosen_come_in_the_order_in_which_their_pods_began_to_go() -> None:
    index = DrainIndex()
    for name, seconds in (("late", 30), ("early", 10), ("middle", 20)):
        index.apply(an_event(name, seconds=seconds))
    index.apply(an_event("early", Outcome.removed, 10))
    assert [record.drain_id for record in index.select(Selection())] == ["early", "middle", "late"]
    assert [record.drain_id for record in index.select(Selection(states=frozenset({Outcome.removed})))] == ["early"]


def test_timelines_are_kept_only_where_they_are_wanted() -> None:
    without, with_them = DrainIndex(), DrainIndex(timelines=True)
    for index in (without, with_them):
        index.apply(an_event("a"))
    assert [len(record.events) for index in (without, with_them) for record in index] == [0, 1]


def ended(*drains: str, seconds: float | None = 1, cluster: str = "test") -> PodEnd:
    return an_end(seconds, drain_ids=drains, cluster=cluster)


def test_a_pods_end_changes_each_of_its_drains_once() -> None:
    index = DrainIndex()
    for name in ("a", "b"):
        index.apply(an_event(name))
    assert index.apply_end(ended("a", "b", "c")) == [index.get("a"), index.get("b")]
    assert index.apply_end(ended("a", "b", "c")) == []
    assert [record.end for record in index] == [ended("a", "b", "c")] * 2


def test_an_end_that_is_read_before_its_drain_waits_for_it() -> None:
    index = DrainIndex()
    assert index.apply_end(ended("a")) == []
    assert (len(index), index.get("a")) == (0, None)
    record = index.apply(an_event("a"))
    assert record is not None
    assert record.end == ended("a")


def test_an_end_that_was_seen_replaces_only_one_that_nobody_saw() -> None:
    unseen, seen, late = ended("a", seconds=None), ended("a"), ended("a", seconds=9)
    for begins_first in (True, False):
        index = DrainIndex()
        if begins_first:
            index.apply(an_event("a"))
        changes = [bool(index.apply_end(end)) for end in (unseen, unseen, seen, late, unseen)]
        assert changes == [begins_first, False, begins_first, False, False]
        index.apply(an_event("a"))
        assert [record.end for record in index] == [seen]


def test_ends_of_unknown_drains_are_bounded_and_the_oldest_go_first() -> None:
    index = DrainIndex(limit=100)
    for number in range(5_000):
        index.apply_end(ended(f"d{number}"))
    for number in range(4_899, 4_901):
        index.apply(an_event(f"d{number}"))
    assert [record.end is not None for record in index] == [False, True]
    assert len(index) == 2


def test_another_clusters_ends_are_not_taken_when_one_is_named() -> None:
    index = DrainIndex(cluster="here")
    index.apply(an_event("a", cluster="here"))
    assert index.apply_end(ended("a", cluster="there")) == []
    assert index.apply_end(ended("a", cluster="here")) == [index.get("a")]


def test_an_index_of_some_drains_keeps_no_others() -> None:
    index = DrainIndex(ids=["a", "c"])
    for name in ("a", "ab", "b"):
        index.apply(an_event(name))
    assert [record.drain_id for record in index] == ["a"]
    assert index.apply_end(an_end(drain_ids=("b", "c"))) == []
    assert index.apply(an_event("b")) is None
    found = index.apply(an_event("c"))
    assert found is not None
    assert found.end is not None
