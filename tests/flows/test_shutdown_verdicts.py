"""Each shutdown verdict is reported once, as soon as both streams hold enough for it."""

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
from tests.unit.shutdowns import ONE, an_end, an_event, begun, out


class Reported:
    """What is reported, in order, by drain."""

    def __init__(self, *entries: Event | PodEnd) -> None:
        self.verdicts: list[tuple[str, str]] = []
        self._shutdowns = ShutdownVerdicts(DrainIndex())
        self._shutdowns.readers.append(self._report)
        self.take(*entries)

    def _report(self, record: DrainRecord, shutdown: Shutdown) -> None:
        self.verdicts.append((record.drain_id, shutdown.text))

    def take(self, *entries: Event | PodEnd) -> None:
        for one in entries:
            if isinstance(one, PodEnd):
                self._shutdowns.apply_end(one)
            else:
                self._shutdowns.apply(one)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.verdicts]


BACK = an_event(Outcome.requested, 50, reason="it was back in service", target=ONE, safe_at=at(145))


def test_nothing_is_reported_before_both_streams_hold_enough() -> None:
    stage = Reported(begun(), out())
    assert stage.texts == []
    stage.take(an_end(1))
    assert stage.texts == ["not graceful, 95 s short"]


def test_it_does_not_matter_which_stream_comes_first() -> None:
    stage = Reported(an_end(1), begun())
    assert stage.texts == []
    stage.take(out())
    assert stage.texts == ["not graceful, 95 s short"]


def test_a_verdict_is_reported_once_whatever_comes_afterwards() -> None:
    stage = Reported(begun(), out(), an_end(1))
    stage.take(an_end(1), an_end(2), out(), BACK, an_event(Outcome.removed, 300, target=ONE))
    assert stage.texts == ["not graceful, 95 s short"]


def test_a_pod_that_was_never_registered_has_its_verdict_when_it_is_gone() -> None:
    stage = Reported(begun(), an_event(Outcome.not_registered, 60))
    assert stage.texts == []
    stage.take(an_end(61))
    assert stage.texts == ["not judged"]


def test_an_end_that_no_watch_saw_is_not_judged_and_reported_once() -> None:
    stage = Reported(begun(), out(), an_end(None), an_end(None))
    assert stage.texts == ["not judged"]


def test_the_end_that_only_another_replica_saw_is_reported_once_more() -> None:
    stage = Reported(begun(), out(), an_end(None), an_end(1), an_end(1), an_end(None))
    assert stage.texts == ["not judged", "not graceful, 95 s short"]


def test_what_was_refused_is_not_judged_once_however_many_saw_its_end() -> None:
    stage = Reported(begun(), an_event(Outcome.refused, 1, target=ONE), an_end(None), an_end(1))
    assert stage.texts == ["not judged"]


def test_each_region_of_a_pod_is_judged() -> None:
    us = a_command(region="us", drain_id="of-us")
    stage = Reported(begun(), begun(0, us), out(), out(30, us), an_end(100, drain_ids=(a_command().drain_id, "of-us")))
    assert stage.verdicts == [(a_command().drain_id, "graceful"), ("of-us", "not graceful, 25 s short")]


def test_what_has_been_reported_is_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown_verdicts, "MAX_VERDICTS", 3)
    drains = [a_command(drain_id=f"d{number}") for number in range(5)]
    stage = Reported(*(out(0.5, drain) for drain in drains), an_end(1, drain_ids=tuple(one.drain_id for one in drains)))
    assert len(stage.verdicts) == 5
    stage.take(
        an_event(Outcome.removed, 300, drains[4], target=ONE), an_event(Outcome.removed, 300, drains[0], target=ONE)
    )
    assert [drain for drain, _ in stage.verdicts[5:]] == ["d0"]
