"""One pod that is drained more than once: its node is lost and comes back, or a person asks again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, make_restore
from controller.domain.events import Outcome
from controller.domain.guard_policy import GuardPolicy
from controller.domain.instances import OUT_OF_SERVICE
from controller.domain.ledger import Ledger
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.test_whose import SHARED
from tests.flows.world import APP, ID, World
from tests.unit.building import POD_IP, a_command, a_pod, terminating

OUT = [OUT_OF_SERVICE] * 2


def node_lost() -> DrainCommand:
    """What the watch sends when the pod's node is lost now."""
    now = virtual_clock()
    pod = replace(a_pod(), unready_at=now)
    return a_command(pod, cause=Cause.node_lost, observed_at=now, since_at=now, end_at=now)


async def node_is_back(world: World) -> None:
    """What the watch sends then."""
    ledger = Ledger()
    for entry in world.broker.entries:
        ledger.apply(entry)
    held = tuple(ledger.held_by(a_command().drain_id, "eu"))
    await world.send(make_restore("test", "eu", a_pod(), held, virtual_clock()))


async def lost_and_back(world: World) -> None:
    """The pod's node is lost, and comes back; its instance serves again."""
    await world.send(node_lost())
    await world.until(Outcome.out_of_service)
    await asyncio.sleep(100)
    await node_is_back(world)
    await world.until(Outcome.restored)
    await asyncio.sleep(1800)


@pytest.mark.parametrize("remove", [True, False])
@in_virtual_time
async def test_what_a_person_drained_stays_out_when_its_node_comes_back(remove: bool) -> None:
    async with World(remove=remove, guard=GuardPolicy(last_instance=False)) as world:
        await world.process()
        now = virtual_clock()
        asked = a_command(drain_id="by-hand", cause=Cause.asked, requested_by="ann", requested_at=now, observed_at=now)
        await world.send(replace(asked, since_at=now, end_at=now + timedelta(days=3650)))
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(60)
        await world.send(node_lost())
        await world.until(Outcome.out_of_service, count=2)
        await asyncio.sleep(100)
        await node_is_back(world)
        for _ in range(60):
            await asyncio.sleep(1)
            assert world.everywhere() == OUT


@pytest.mark.parametrize("instance_id", [ID, SHARED])
@in_virtual_time
async def test_a_pod_whose_node_came_back_is_drained_when_it_goes(instance_id: str) -> None:
    async with World() as world:
        own = await world.process(APP, instance_id, host=POD_IP if instance_id == SHARED else "orders-0")
        await lost_and_back(world)
        assert world.everywhere(APP, instance_id) == ["UP", "UP"]
        now = virtual_clock()
        going = terminating(a_pod(), asked_at=now)
        await world.send(a_command(going, observed_at=now, since_at=now, end_at=now + timedelta(seconds=30)))
        await asyncio.sleep(5)
        assert world.everywhere(APP, instance_id) == OUT
        own.die()
        await world.end()
        await asyncio.sleep(1200)
        assert world.everywhere(APP, instance_id) == [None, None]


@in_virtual_time
async def test_a_pod_whose_node_is_lost_twice_is_out_twice() -> None:
    async with World() as world:
        own = await world.process()
        await lost_and_back(world)
        own.die()
        await world.send(node_lost())
        await asyncio.sleep(20)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_a_person_who_asks_again_is_answered_again() -> None:
    async with World() as world:
        await world.process("OTHER", "somebody-else", host="elsewhere", port=9999)
        pod = terminating(a_pod(declares_ports=True))
        await world.send(a_command(pod))
        await world.until(Outcome.refused)
        await asyncio.sleep(300)
        now = virtual_clock()
        await world.send(a_command(pod, observed_at=now, requested_by="ann", requested_at=now, gone_at=now))
        await asyncio.sleep(300)
        assert [event.outcome for event in world.broker.events if event.requested_at == now] == [Outcome.refused]
