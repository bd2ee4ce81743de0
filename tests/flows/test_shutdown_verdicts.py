"""Each verdict is handed on once, as soon as both streams have told enough of it."""

from __future__ import annotations

import pytest

from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import Shutdown
from controller.flows import shutdown_verdicts
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from tests.unit.building import a_command, at
from tests.unit.shutdowns import ONE, an_end, begun, out, told


class Judged:
    """What is said, in order, by drain."""

    def __init__(self, *told: Event | PodEnd) -> None:
        self.said: list[tuple[str, str]] = []
        self.judging = ShutdownVerdicts(DrainIndex(), self._say)
        self.take(*told)

    def _say(self, record: DrainRecord, shutdown: Shutdown) -> None:
        self.said.append((record.drain_id, shutdown.told))

    def take(self, *told: Event | PodEnd) -> None:
        for one in told:
            if isinstance(one, PodEnd):
                self.judging.apply_end(one)
            else:
                self.judging.apply(one)

    @property
    def words(self) -> list[str]:
        return [words for _, words in self.said]


BACK = told(Outcome.requested, 50, reason="it was back in service", target=ONE, safe_at=at(145))


def test_nothing_is_said_before_both_streams_have_told_enough() -> None:
    stage = Judged(begun(), out())
    assert stage.words == []
    stage.take(an_end(1))
    assert stage.words == ["not graceful, 95 s short"]


def test_it_is_all_the_same_which_stream_tells_first() -> None:
    stage = Judged(an_end(1), begun())
    assert stage.words == []
    stage.take(out())
    assert stage.words == ["not graceful, 95 s short"]


def test_it_is_said_once_whatever_is_told_afterwards() -> None:
    stage = Judged(begun(), out(), an_end(1))
    stage.take(an_end(1), an_end(2), out(), BACK, told(Outcome.removed, 300, target=ONE))
    assert stage.words == ["not graceful, 95 s short"]


def test_a_pod_that_was_never_registered_is_judged_when_it_has_gone_and_not_before() -> None:
    stage = Judged(begun(), told(Outcome.not_registered, 60))
    assert stage.words == []
    stage.take(an_end(61))
    assert stage.words == ["not judged"]


def test_an_end_that_nobody_saw_is_said_to_be_none_and_no_more_of_it() -> None:
    stage = Judged(begun(), out(), an_end(None), an_end(None))
    assert stage.words == ["not judged"]


def test_once_another_replica_tells_the_end_that_one_has_missed_more_is_said_and_that_once() -> None:
    stage = Judged(begun(), out(), an_end(None), an_end(1), an_end(1), an_end(None))
    assert stage.words == ["not judged", "not graceful, 95 s short"]


def test_what_was_refused_is_said_to_be_not_judged_once_however_many_replicas_saw_its_end() -> None:
    stage = Judged(begun(), told(Outcome.refused, 1, target=ONE), an_end(None), an_end(1))
    assert stage.words == ["not judged"]


def test_each_region_of_a_pod_is_judged() -> None:
    us = a_command(region="us", drain_id="of-us")
    stage = Judged(begun(), begun(0, us), out(), out(30, us), an_end(100, drain_ids=(a_command().drain_id, "of-us")))
    assert stage.said == [(a_command().drain_id, "graceful"), ("of-us", "not graceful, 25 s short")]


def test_what_has_been_said_is_kept_in_mind_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown_verdicts, "MAX_VERDICTS", 3)
    drains = [a_command(drain_id=f"d{number}") for number in range(5)]
    stage = Judged(*(out(0.5, drain) for drain in drains), an_end(1, drain_ids=tuple(one.drain_id for one in drains)))
    assert len(stage.said) == 5
    stage.take(told(Outcome.removed, 300, drains[4], target=ONE), told(Outcome.removed, 300, drains[0], target=ONE))
    assert [drain for drain, _ in stage.said[5:]] == ["d0"]
