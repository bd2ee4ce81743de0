"""A replay's plan over a registry in memory: each decision with its reason, and not one write."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.commands import DrainCommand
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Event, Outcome, make_event
from controller.domain.guard_policy import GuardPolicy
from controller.domain.pods import LivingPod, Pod
from controller.domain.reason import Reason, ReasonCode
from controller.domain.replay_plan import ReplayAction, ReplayItem, Requester
from controller.flows.replay_planner import MAX_CONCURRENT, LivingPods, ReplayPlanner
from controller.flows.worker_policy import WorkerPolicy
from tests.fakes.node_trouble import Trouble
from tests.fakes.registry import FakeRegistry
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.world import APP, ID, RETENTION
from tests.unit.building import POD_IP, a_command, a_living_pod, a_pod, a_target, at, terminating

POD = a_pod(created_at=at(-5))
"""Created just before noon, where virtual time begins, so that what registers first is its own."""


class Stage:
    """One region ``eu``, and a person who plans."""

    def __init__(self, **policy: Any) -> None:
        self.registry = FakeRegistry(clock=virtual_clock)
        self.policy = WorkerPolicy(**{"retention": RETENTION, **policy})
        self.living: LivingPods | None = None

    async def register(self, app: str = APP, instance_id: str = ID, **facts: Any) -> None:
        for node in self.registry.nodes:
            await node.register(app, instance_id, **{"ip": POD_IP, "host": "orders-0", **facts})

    async def plan(self, *records: DrainRecord, again: bool = False) -> list[ReplayItem]:
        planner = ReplayPlanner(
            regions={"eu": self.registry}, policy=self.policy, clock=virtual_clock, living=self.living
        )
        items = await planner.plan(records, Requester(by="ann", at=virtual_clock()), again=again)
        assert self.registry.writes == []
        return items

    async def only(self, record: DrainRecord | None = None, **how: bool) -> ReplayItem:
        [item] = await self.plan(record or drained(), **how)
        return item


def drained(*events: Event, command: DrainCommand | None = None) -> DrainRecord:
    """A drain of the pod that was requested at noon, and whatever happened to it afterwards."""
    command = command or a_command(terminating(POD))
    first = make_event(command, Outcome.requested, at(0))
    record = new_record(first)
    for event in (first, *(events or (make_event(command, Outcome.out_of_service, at(1), target=a_target()),))):
        record.apply(event, timeline=False)
    return record


@in_virtual_time
async def test_what_is_up_again_and_silent_would_be_drained_with_its_old_facts() -> None:
    stage = Stage()
    await stage.register()
    await asyncio.sleep(200)
    item = await stage.only()
    assert (item.decision.action, item.instances, item.apps) == (ReplayAction.drain, ((APP, ID),), (APP,))
    assert item.command is not None
    assert (item.command.requested_by, item.command.pod) == ("ann", terminating(POD))


@in_virtual_time
async def test_what_is_out_of_service_everywhere_is_skipped() -> None:
    stage = Stage()
    await stage.register()
    for node in stage.registry.nodes:
        await node.put_status(APP, ID, "OUT_OF_SERVICE")
    item = await stage.only()
    assert (item.decision.action, item.command) == (ReplayAction.out, None)


@in_virtual_time
async def test_what_one_node_gives_to_clients_again_would_be_drained() -> None:
    stage = Stage()
    for node in stage.registry.nodes:
        node.replication = None
    await stage.register()
    await stage.registry.nodes[0].put_status(APP, ID, "OUT_OF_SERVICE")
    await asyncio.sleep(200)
    assert (await stage.only()).decision.action is ReplayAction.drain


@in_virtual_time
async def test_what_nobody_holds_is_gone() -> None:
    item = await Stage().only()
    assert item.decision.action is ReplayAction.gone
    assert "no instance in the region" in item.decision.reason
    assert item.apps == (APP,), "as the log tells"


@in_virtual_time
async def test_what_is_gone_and_the_cache_still_shows_is_gone() -> None:
    stage = Stage()
    await stage.register()
    for node in stage.registry.nodes:
        await node.answer("GET apps")
        node.cached()
        node._held.clear()
    item = await stage.only()
    assert (item.decision.action, item.decision.reason) == (ReplayAction.gone, "no node holds it any more")


@in_virtual_time
async def test_a_newer_process_under_the_id_is_skipped() -> None:
    stage = Stage()
    await asyncio.sleep(100)
    await stage.register()
    item = await stage.only()
    assert (item.decision.action, item.command) == (ReplayAction.superseded, None)
    assert "registered after the pod's end" in item.decision.reason


@in_virtual_time
async def test_an_address_that_a_living_pod_has_by_now_is_skipped() -> None:
    stage = Stage()
    await stage.register()
    await asyncio.sleep(200)
    for node in stage.registry.nodes:
        await node.heartbeat(APP, ID)
    heir = a_living_pod(ip=POD_IP, created_at=at(-20))
    stage.living = LivingPods(lambda _: (heir,), lambda _: False)
    item = await stage.only()
    assert item.decision.action is ReplayAction.superseded
    assert "the living pod shop/orders-1" in item.decision.reason


@in_virtual_time
async def test_a_pod_that_is_alive_itself_is_not_drained() -> None:
    stage = Stage()
    await stage.register()

    def alone(_: Pod) -> tuple[LivingPod, ...]:
        return ()

    stage.living = LivingPods(alone, lambda uid: uid == "uid-1")
    item = await stage.only()
    assert (item.decision.action, item.decision.reason) == (ReplayAction.refuse, "the pod itself is alive")


@in_virtual_time
async def test_the_last_instance_is_refused_while_it_serves_and_not_when_silent() -> None:
    stage = Stage()
    await stage.register()
    item = await stage.only()
    assert item.decision.action is ReplayAction.refuse
    assert "guard.last_instance" in item.decision.reason
    await asyncio.sleep(200)
    assert (await stage.only()).decision.action is ReplayAction.drain


@in_virtual_time
async def test_how_many_may_go_in_a_minute_is_left_to_the_workers() -> None:
    stage = Stage(guard=GuardPolicy(last_instance=False, max_percent_per_minute=1))
    records = []
    for number in range(20):
        pod = replace(POD, uid=f"uid-{number}", ip=f"10.1.1.{number}", name=f"n{number}", hostname=f"n{number}")
        await stage.register(instance_id=f"n{number}:orders", ip=pod.ip, host=pod.name)
        records.append(drained(command=a_command(terminating(pod))))
    assert {item.decision.action for item in await stage.plan(*records)} == {ReplayAction.drain}


@in_virtual_time
async def test_with_a_node_away_the_worker_decides_a_region_away_is_refused() -> None:
    stage = Stage()
    await stage.register()
    await asyncio.sleep(200)
    stage.registry.nodes[1].trouble = Trouble.down
    item = await stage.only()
    assert item.decision.action is ReplayAction.drain
    stage.registry.nodes[0].trouble = Trouble.down
    await asyncio.sleep(1)
    item = await stage.only()
    assert item.decision.action is ReplayAction.refuse
    assert "connection refused" in item.decision.reason


@in_virtual_time
async def test_a_region_without_nodes_and_a_broken_annotation_are_refused() -> None:
    stage = Stage()
    foreign = drained(command=a_command(terminating(POD), region="us"))
    broken = drained(command=a_command(terminating(replace(POD, annotations={"port": "x"}))))
    elsewhere, hostile = await stage.plan(foreign, broken)
    assert "no nodes for region us" in elsewhere.decision.reason
    assert "eureka.drain/port" in hostile.decision.reason
    assert {elsewhere.decision.action, hostile.decision.action} == {ReplayAction.refuse}


@in_virtual_time
async def test_what_a_worker_has_is_under_way_unless_it_is_meant_too() -> None:
    stage = Stage()
    await stage.register()
    await asyncio.sleep(200)
    command = a_command(terminating(POD))
    waiting = drained(
        make_event(
            command, Outcome.retrying, at(150), reason=Reason(code=ReasonCode.unreachable, detail="a node is away")
        )
    )
    item = await stage.only(waiting)
    assert (item.decision.action, item.decision.reason) == (ReplayAction.under_way, "a node is away")
    assert (await stage.only(waiting, again=True)).decision.action is ReplayAction.drain


@in_virtual_time
async def test_of_several_instances_only_those_that_serve_would_be_drained() -> None:
    stage = Stage()
    await stage.register()
    await stage.register(instance_id=f"{ID}9", port=9090)
    for node in stage.registry.nodes:
        await node.put_status(APP, ID, "OUT_OF_SERVICE")
    await asyncio.sleep(200)
    item = await stage.only()
    assert (item.decision.action, item.instances) == (ReplayAction.drain, ((APP, f"{ID}9"),))


@pytest.mark.parametrize("count", [1, 300])
@in_virtual_time
async def test_each_is_reported_and_they_come_in_the_given_order(count: int) -> None:
    stage = Stage()
    most, under_way, planned = 0, 0, 0
    read = stage.registry.find

    async def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.1)
        under_way -= 1
        return await read(*arguments, **named)

    def report() -> None:
        nonlocal planned
        planned += 1

    stage.registry.find = counted  # type: ignore[method-assign]
    records = [drained(command=a_command(terminating(POD), drain_id=f"d{number}")) for number in range(count)]
    planner = ReplayPlanner(regions={"eu": stage.registry}, policy=stage.policy, clock=virtual_clock, living=None)
    items = await planner.plan(records, Requester(by="ann", at=at(0)), again=False, report=report)
    assert [item.drain_id for item in items] == [record.drain_id for record in records]
    assert planned == count
    assert most == min(count, MAX_CONCURRENT)
