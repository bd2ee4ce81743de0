"""One step of one instance with a scripted registry: no write meets a successor."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from controller.app.worker_parts import build_worker
from controller.domain.annotations import PodAnnotations
from controller.domain.commands import Stage
from controller.domain.events import Outcome
from controller.domain.guard_policy import RecentTakeOuts
from controller.domain.instances import Condition
from controller.domain.ledger import Ledger
from controller.domain.reason import Reason, ReasonCode
from controller.domain.silence import renewals
from controller.flows.priority import PriorityGate
from controller.flows.step_result import StepResult
from controller.flows.worker_policy import WorkerPolicy
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker
from tests.unit.building import NODES, FakeRegistry, a_command, a_target, an_instance, at, out, readings

POLICY = WorkerPolicy(retention=timedelta(minutes=5))
HOLDERS = {
    "registered later": an_instance(registered_at=at(500)),
    "registered later, still starting": an_instance(registered_at=at(500), status="STARTING"),
    "registered later, under the override": out(registered_at=at(500)),
    "at another address": an_instance(ip="10.1.0.99", host_name="x"),
    "with another host name": an_instance(host_name="x"),
}
BEFORE = {"up": an_instance(), "out": out(), "absent": None, "unreachable": Condition.unreachable}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.flows.instance_access.READ_BACK_INTERVALS", (0.0, 0.0))


async def advance(registry: FakeRegistry, *, policy: WorkerPolicy = POLICY, **facts: Any) -> StepResult:
    worker = build_worker(
        registry=registry,
        outbox=FakeBroker(),
        policy=policy,
        clock=clock,
        observer=FakeObserver(),
        priority=PriorityGate(),
        ledger=Ledger(),
        log=FakeLog(),
        recent_take_outs=RecentTakeOuts(),
    )
    return await worker.lifecycle.step(a_command(), PodAnnotations(), a_target(**facts))


def outcomes_of(step: StepResult) -> list[Outcome]:
    return [step.event.outcome] if step.event else []


def clock() -> datetime:
    return at(10_000)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("other", BEFORE)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("stage", Stage)
async def test_once_any_node_shows_another_holder_nothing_is_written_but_our_own_override_is_lifted(
    holder: str, other: str, swapped: bool, stage: Stage
) -> None:
    answers: list[Any] = [HOLDERS[holder], BEFORE[other]]
    registry = FakeRegistry(readings(*(reversed(answers) if swapped else answers)))
    known = renewals(readings(out(), out()))
    step = await advance(registry, stage=stage, silent_since=at(0), renewals=known)
    outcomes = outcomes_of(step)
    if stage is Stage.take_out:
        assert registry.writes == []
        assert step.onward is None
        assert outcomes in ([Outcome.superseded], [Outcome.refused])
        return
    newer_one_is_held = holder == "registered later, under the override"
    old_one_is_shown = other in ("up", "out")
    lifts = newer_one_is_held and not old_one_is_shown and stage is Stage.give_back
    assert registry.writes == ([("restore", NODES[:2])] if lifts else [])
    if newer_one_is_held or other == "out":
        assert step.onward is not None, "the override is ours to follow up"
    elif other != "unreachable":
        assert outcomes == [Outcome.restored], "the id that was out of service serves again"


async def test_a_successor_that_shows_up_while_we_write_is_not_written_to_again_but_freed_of_our_override() -> None:
    newer = HOLDERS["registered later, under the override"]
    registry = FakeRegistry(readings(an_instance()), readings(newer))
    step = await advance(registry)
    assert registry.writes == [("take_out", NODES[:1])]
    assert step.onward is not None
    assert step.event is None
    noted = FakeRegistry(readings(newer))
    step = await advance(noted, stage=step.onward.stage)
    assert noted.writes == [], "that it is to be lifted is written down before it is done"
    assert step.onward is not None
    later = FakeRegistry(readings(newer))
    await advance(later, stage=step.onward.stage)
    assert later.writes == [("restore", NODES[:1])]


async def test_a_successor_that_is_found_before_anything_was_written_is_left_alone() -> None:
    registry = FakeRegistry(readings(HOLDERS["registered later, under the override"]))
    step = await advance(registry)
    assert registry.writes == []
    assert outcomes_of(step) == [Outcome.superseded]


async def test_an_instance_that_serves_is_taken_out_where_it_serves_and_the_event_shows_what_was_read_back() -> None:
    registry = FakeRegistry(readings(an_instance(), out()), readings(out(), out()))
    step = await advance(registry)
    assert registry.writes == [("take_out", NODES[:1])]
    assert step.onward is not None
    assert step.onward.stage is Stage.retain
    event = step.event
    assert event is not None
    assert event.outcome is Outcome.out_of_service
    assert [reading.condition for reading in event.nodes] == [Condition.out, Condition.out]


async def test_without_removal_it_ends_out_of_service() -> None:
    step = await advance(FakeRegistry(readings(out())), policy=WorkerPolicy(retention=timedelta(0), remove=False))
    assert step.onward is None


async def test_an_override_that_vanished_is_put_back_while_the_drain_is_in_force() -> None:
    registry = FakeRegistry(readings(an_instance(), out()), readings(out(), out()))
    step = await advance(registry, stage=Stage.retain, silent_since=at(0), renewals={})
    assert registry.writes == [("take_out", NODES[:1])]
    assert step.onward is not None
    assert step.onward.stage is Stage.retain


async def test_that_a_silent_instance_is_to_be_deleted_is_written_down_before_it_is_done() -> None:
    registry = FakeRegistry(readings(out(), out()))
    known = renewals(readings(out(), out()))
    step = await advance(registry, stage=Stage.retain, silent_since=at(100), renewals=known)
    assert registry.writes == []
    assert step.onward is not None
    assert step.onward.stage is Stage.delete


async def test_a_silent_instance_is_deleted_at_every_node_and_looked_for_again() -> None:
    registry = FakeRegistry(readings(out(), None))
    known = renewals(readings(out(), out()))
    step = await advance(registry, stage=Stage.delete, silent_since=at(100), renewals=known)
    assert registry.writes == [("remove", NODES[:2])]
    assert step.onward is not None
    assert step.onward.stage is Stage.delete


async def test_what_comes_back_after_a_delete_has_to_fall_silent_anew() -> None:
    known = renewals(readings(out(), out()))
    registry = FakeRegistry(readings(out(renewed_at=at(9_990)), None))
    step = await advance(registry, stage=Stage.delete, silent_since=at(0), renewals=known)
    assert registry.writes == []
    assert step.onward is not None
    assert (step.onward.stage, step.onward.silent_since) == (Stage.retain, at(10_000))


async def test_a_trouble_is_told_once_and_given_up_only_after_its_time() -> None:
    for since, told, over in ((None, "", False), (at(9_000), "same", False), (at(6_400), "same", True)):
        registry = FakeRegistry(readings(out(), Condition.unreachable))
        trouble = Reason(code=ReasonCode.unreachable, detail=f"{NODES[1]}: unreachable") if told else None
        step = await advance(registry, trouble=trouble, trouble_since=since, attempt=3)
        assert (step.given_up is not None) is over
        outcomes = outcomes_of(step)
        assert outcomes == ([Outcome.failed] if over else [] if told else [Outcome.retrying])


@pytest.mark.parametrize(("one", "two"), list(product(BEFORE, BEFORE)))
async def test_a_node_that_is_away_never_keeps_the_others_from_being_drained(one: str, two: str) -> None:
    registry = FakeRegistry(readings(BEFORE[one], BEFORE[two]))
    await advance(registry)
    serving = tuple(node for node, state in zip(NODES, (one, two), strict=False) if state == "up")
    assert registry.writes == ([("take_out", serving)] if serving else [])
