"""One step of one instance whose nodes disagree: no write meets a successor."""

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
from controller.domain.instances import Condition, Instance, Readings
from controller.domain.ledger import Ledger
from controller.domain.reason import Reason, ReasonCode
from controller.domain.silence import renewals
from controller.flows.priority import PriorityGate
from controller.flows.step_result import StepResult
from controller.flows.worker_policy import WorkerPolicy
from tests.fakes.log import FakeLog
from tests.fakes.node_trouble import Trouble
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker
from tests.fakes.registry import FakeRegistry
from tests.fakes.virtual_time import in_virtual_time
from tests.unit.building import NODES, a_command, a_target, an_instance, at, out, readings

POLICY = WorkerPolicy(retention=timedelta(minutes=5))
HOLDERS = {
    "registered later": an_instance(registered_at=at(500), dirty_at=at(500)),
    "registered later, still starting": an_instance(registered_at=at(500), dirty_at=at(500), status="STARTING"),
    "registered later, under the override": out(registered_at=at(500), dirty_at=at(500)),
    "at another address": an_instance(ip="10.1.0.99", host_name="x"),
    "of another pod": an_instance(pod_uid="another"),
}
BEFORE = {"up": an_instance(), "out": out(), "absent": None, "unreachable": Condition.unreachable}


class OvertakenRegistry(FakeRegistry):
    """Its first node shows a successor as soon as it has been written to."""

    async def take_out(self, app: str, instance_id: str, at: Readings) -> Readings:
        refused = await super().take_out(app, instance_id, at)
        self.nodes[0].hold(HOLDERS["registered later, under the override"])
        return refused


def holding(*states: Instance | Condition | None, kind: type[FakeRegistry] = FakeRegistry) -> FakeRegistry:
    """Return a registry whose nodes hold this: an instance, None for nothing; one that is unreachable does not answer.

    Its nodes tell each other nothing.
    """
    registry = kind(nodes=len(states), clock=clock)
    for node, state in zip(registry.nodes, states, strict=True):
        node.replication = None
        if isinstance(state, Instance):
            node.hold(state)
        elif state is Condition.unreachable:
            node.trouble = Trouble.frozen
    return registry


TAKE_OUT, RESTORE, REMOVE = "PUT /status?value=OUT_OF_SERVICE", "DELETE /status?value=UP", "DELETE "


def writes_of(registry: FakeRegistry) -> list[tuple[str, str]]:
    """Return each node that was written to, with what was written."""
    return [
        (node.url, request.replace("apps/ORDERS/orders-0:orders:8080", ""))
        for node in registry.nodes
        for request in node.requests
        if not request.startswith("GET")
    ]


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
    command, target = a_command(gone_at=at(30)), a_target(last_dirty_at=at(-3590), **{"due_at": clock(), **facts})
    return await worker.lifecycle.step(command, PodAnnotations(), target)


def outcomes_of(step: StepResult) -> list[Outcome]:
    return [step.event.outcome] if step.event else []


def clock() -> datetime:
    return at(10_000)


@in_virtual_time
async def test_who_was_looked_at_too_long_ago_is_proved_silent_anew() -> None:
    registry = holding(out(), out())
    known = renewals(readings(out(), out()))
    step = await advance(registry, stage=Stage.delete, silent_since=at(100), renewals=known, due_at=at(9_000))
    assert writes_of(registry) == []
    assert step.onward is not None
    assert (step.onward.stage, step.onward.silent_since) == (Stage.retain, clock())


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("other", BEFORE)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("stage", Stage)
@in_virtual_time
async def test_once_a_node_shows_another_holder_only_our_override_is_lifted(
    holder: str, other: str, swapped: bool, stage: Stage
) -> None:
    answers: list[Any] = [HOLDERS[holder], BEFORE[other]]
    registry = holding(*(reversed(answers) if swapped else answers))
    known = renewals(readings(out(), out()))
    ours = stage is not Stage.take_out
    step = await advance(registry, stage=stage, silent_since=at(9_970), renewals=known, may_have_override=ours)
    outcomes = outcomes_of(step)
    newer_one_is_held = holder == "registered later, under the override"
    old_one_is_shown = other in ("up", "out")
    if stage is Stage.take_out:
        assert writes_of(registry) == []
        if step.onward is not None:
            assert old_one_is_shown, "it waits for a heartbeat where both of them may be dead"
        else:
            assert outcomes in ([Outcome.superseded], [Outcome.refused])
        return
    lifts = newer_one_is_held and not old_one_is_shown and stage is Stage.give_back
    assert writes_of(registry) == ([(node, RESTORE) for node in NODES[:2]] if lifts else [])
    if newer_one_is_held or old_one_is_shown:
        assert step.onward is not None, "the override is ours to follow up, and so is what the other node still shows"
    else:
        # Where a node cannot be asked, nobody knows yet whether the id serves again.
        assert outcomes == [Outcome.retrying if other == "unreachable" else Outcome.restored]


@pytest.mark.parametrize("stage", [Stage.take_out, Stage.retain])
@pytest.mark.parametrize("silent", [False, True])
@in_virtual_time
async def test_where_nobody_heartbeats_another_dead_holder_ends_no_drain(stage: Stage, silent: bool) -> None:
    registry = holding(an_instance(), HOLDERS["at another address"])
    known = renewals(readings(an_instance(), an_instance()))
    silent_since = at(9_900 if silent else 9_970)
    await advance(registry, stage=stage, silent_since=silent_since, renewals=known)
    assert writes_of(registry) == ([(node, TAKE_OUT) for node in NODES[:2]] if silent else [])


@in_virtual_time
async def test_a_successor_that_appears_during_a_write_loses_our_override_only() -> None:
    newer = HOLDERS["registered later, under the override"]
    registry = holding(an_instance(), kind=OvertakenRegistry)
    step = await advance(registry)
    assert writes_of(registry) == [(NODES[0], TAKE_OUT)]
    assert step.onward is not None
    assert step.event is None
    noted = holding(newer)
    step = await advance(noted, stage=step.onward.stage, may_have_override=True)
    assert writes_of(noted) == [], "that it is to be lifted is written down before it is done"
    assert step.onward is not None
    later = holding(newer)
    await advance(later, stage=step.onward.stage, may_have_override=True)
    assert writes_of(later) == [(NODES[0], RESTORE)]


@in_virtual_time
async def test_a_successor_that_is_found_before_any_write_is_not_written_to() -> None:
    registry = holding(HOLDERS["registered later, under the override"])
    step = await advance(registry)
    assert writes_of(registry) == []
    assert outcomes_of(step) == [Outcome.superseded]


@in_virtual_time
async def test_an_instance_is_taken_out_where_it_serves_and_read_back() -> None:
    registry = holding(an_instance(), out())
    step = await advance(registry)
    assert writes_of(registry) == [(NODES[0], TAKE_OUT)]
    assert step.onward is not None
    assert step.onward.stage is Stage.retain
    event = step.event
    assert event is not None
    assert event.outcome is Outcome.out_of_service
    assert [reading.condition for reading in event.nodes] == [Condition.out, Condition.out]


@in_virtual_time
async def test_without_removal_it_is_looked_at_further() -> None:
    step = await advance(holding(out()), policy=WorkerPolicy(retention=timedelta(0), remove=False))
    assert step.onward is not None
    assert step.onward.stage is Stage.retain


@in_virtual_time
async def test_an_override_that_vanished_is_put_back_while_the_drain_is_in_force() -> None:
    registry = holding(an_instance(), out())
    step = await advance(registry, stage=Stage.retain, silent_since=at(0), renewals={})
    assert writes_of(registry) == [(NODES[0], TAKE_OUT)]
    assert step.onward is not None
    assert step.onward.stage is Stage.retain


@in_virtual_time
async def test_the_delete_of_a_silent_instance_is_recorded_before_it_is_done() -> None:
    registry = holding(out(), out())
    known = renewals(readings(out(), out()))
    step = await advance(registry, stage=Stage.retain, silent_since=at(100), renewals=known)
    assert writes_of(registry) == []
    assert step.onward is not None
    assert step.onward.stage is Stage.delete


@in_virtual_time
async def test_a_silent_instance_is_deleted_at_every_node_and_looked_for_again() -> None:
    registry = holding(out(), None)
    known = renewals(readings(out(), out()))
    step = await advance(registry, stage=Stage.delete, silent_since=at(100), renewals=known)
    assert writes_of(registry) == [(NODES[0], REMOVE), (NODES[1], REMOVE)]
    assert step.onward is not None
    assert step.onward.stage is Stage.delete


@in_virtual_time
async def test_what_comes_back_after_a_delete_has_to_fall_silent_anew() -> None:
    known = renewals(readings(out(), out()))
    registry = holding(out(renewed_at=at(9_990)), None)
    step = await advance(registry, stage=Stage.delete, silent_since=at(0), renewals=known)
    assert writes_of(registry) == []
    assert step.onward is not None
    assert (step.onward.stage, step.onward.silent_since) == (Stage.retain, at(10_000))


@in_virtual_time
async def test_a_trouble_is_reported_once_and_given_up_only_after_its_time() -> None:
    for since, told, over in ((None, "", False), (at(9_000), "same", False), (at(6_400), "same", True)):
        registry = holding(out(), Condition.unreachable)
        trouble = (
            Reason(code=ReasonCode.unreachable, detail=f"{NODES[1]}: unreachable (no answer in time)") if told else None
        )
        step = await advance(registry, trouble=trouble, trouble_since=since, attempt=3)
        assert (step.given_up is not None) is over
        outcomes = outcomes_of(step)
        assert outcomes == ([Outcome.failed] if over else [] if told else [Outcome.retrying])


@pytest.mark.parametrize(("one", "two"), list(product(BEFORE, BEFORE)))
@in_virtual_time
async def test_a_node_that_is_away_never_keeps_the_others_from_being_drained(one: str, two: str) -> None:
    registry = holding(BEFORE[one], BEFORE[two])
    await advance(registry)
    serving = [node for node, state in zip(NODES, (one, two), strict=False) if state == "up"]
    assert writes_of(registry) == [(node, TAKE_OUT) for node in serving]
