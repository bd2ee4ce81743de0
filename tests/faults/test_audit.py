"""The audit that checks all cases must be able to fail: without servers, on samples and events made up."""

from types import SimpleNamespace
from typing import Any, cast

from tests.faults.audit import complaints, unended
from tests.faults.population import Subject
from tests.faults.result import Row, table
from tests.faults.sampling import Course, Sample, Sampler, Seen
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.pod_process import PodProcess


def subject(name: str, *, deleted: bool = True) -> Subject:
    pod = SimpleNamespace(timeline=SimpleNamespace(uid=f"uid-{name}", ip="127.0.0.9"))
    return Subject(name, "shop", cast("PodProcess", pod), deleted_at=0.0 if deleted else None)


def sample(at: float, *seen: Seen) -> Sample:
    return Sample(at, seen, tuple(seen))


def event(name: str, outcome: str, *, drain: str = "d1", instance: str = "i1", app: str = "SHOP") -> dict[str, Any]:
    found = {"pod": name, "uid": f"uid-{name}", "drain_id": drain, "outcome": outcome, "app": app}
    return found | {"instance_id": instance, "reason": None, "at": "now", "cause": "terminating"}


def sampler() -> Sampler:
    return Sampler(cast("EurekaNodes", SimpleNamespace(urls=["http://a", "http://b"])), lambda _: ())


def test_out_counts_from_the_first_sample_that_is_out_for_good_everywhere() -> None:
    course = Course(subject("a"))
    course.samples = [
        sample(1, Seen.out, Seen.out),
        sample(2, Seen.out, Seen.up),
        sample(3, Seen.out, Seen.silent),
        sample(4, Seen.absent, Seen.out),
        sample(5, Seen.absent, Seen.absent),
    ]
    assert course.is_out_since(0) == 4
    assert course.is_out_since(4.5) == 5
    assert course.is_out_since(6) is None
    assert [back.at for back in course.came_back(0)] == [2]
    assert course.came_back(3) == []


def test_an_override_another_status_and_absence_harm_a_living_instance() -> None:
    for worst in (Seen.out, Seen.odd, Seen.absent):
        looking, course = sampler(), Course(subject("a", deleted=False))
        looking._judge_living(course, sample(1, Seen.up, Seen.up))
        looking._judge_living(course, sample(2, Seen.silent, Seen.up))
        assert course.harm == []
        looking._judge_living(course, sample(3, Seen.up, worst))
        assert len(course.harm) == 1


def test_a_node_without_memory_may_miss_a_living_instance_at_first() -> None:
    looking, course = sampler(), Course(subject("a", deleted=False))
    looking._judge_living(course, sample(1, Seen.up, Seen.up))
    looking.forgets(0)
    looking._judge_living(course, sample(2, Seen.absent, Seen.up))
    assert course.harm == []
    looking._judge_living(course, sample(3, Seen.up, Seen.up))
    looking._judge_living(course, sample(4, Seen.absent, Seen.up))
    assert len(course.harm) == 1


def test_a_drain_with_no_end_or_two_or_of_a_living_pod_is_a_complaint() -> None:
    dead, alive = subject("dead"), subject("alive", deleted=False)
    requested, removed = event("dead", "requested", instance="", app=""), event("dead", "removed")
    assert complaints([requested, removed], [dead], [alive]) == []
    assert unended([], [dead]) == ["dead"]
    assert unended([requested], [dead]) == ["dead"]
    assert "no final outcome" in complaints([requested], [dead], [alive])[0]
    assert "2 final outcomes" in complaints([removed, event("dead", "already_gone")], [dead], [alive])[0]
    nothing = event("dead", "not_registered", instance="", app="")
    assert "although an instance" in complaints([nothing, removed], [dead], [alive])[0]
    assert "lives and was drained" in complaints([removed, event("alive", "requested")], [dead], [alive])[0]


def test_the_table_marks_what_went_wrong_and_what_was_late() -> None:
    good, late = Row("a", "before", drains=4, settled=1.0), Row("b", "after", drains=4, settled=31.0)
    lost = Row("c", "after", drains=4, lost=1, troubles=["one is lost"])
    lines = table([good, late, lost])
    assert [("✗" in line, "> 30 s" in line) for line in lines[2:]] == [(False, False), (False, True), (True, False)]
