"""What a drain has written before it was given up, or while a node is away: the id has its override all the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from controller.domain.causes import Cause
from controller.domain.events import Outcome
from controller.domain.guard_policy import GuardPolicy
from controller.domain.manual_commands import restores_of
from controller.domain.replay_plan import Requester
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.restoring import going, ledger_of, restore
from tests.flows.test_drained_again import node_lost
from tests.flows.test_whose import HEIR_IP, OUT, UP
from tests.flows.world import World
from tests.unit.building import a_command, a_pod, at


async def given_up(world: World) -> None:
    """One node denies us (a password that was rotated there only): twelve tries, two minutes; the other one took it."""
    own = await world.process()
    world.nodes[1].trouble = Trouble.denying
    await world.send()
    await asyncio.sleep(25)
    own.die()
    await world.end()
    await world.until(Outcome.failed)
    world.nodes[1].trouble = None


@in_virtual_time
async def test_the_successor_of_a_drain_that_was_given_up_serves() -> None:
    async with World() as world:
        await given_up(world)
        newer = await world.process(ip=HEIR_IP)
        await restore(world, a_pod("uid-2", ip=HEIR_IP, created_at=virtual_clock()))
        await asyncio.sleep(3600)
        newer.die()
        assert world.everywhere() == UP


@in_virtual_time
async def test_nor_does_any_generation_after_it_stay_out() -> None:
    async with World() as world:
        await given_up(world)
        second = await world.process(ip=HEIR_IP)
        heir = a_pod("uid-2", ip=HEIR_IP, created_at=at(60))
        await restore(world, heir)
        await asyncio.sleep(600)
        await world.send(going(heir))
        event = await world.until(Outcome.out_of_service)
        second.die()
        await asyncio.sleep(30)
        third = await world.process(ip="10.1.0.200")
        await restore(world, a_pod("uid-3", ip="10.1.0.200", created_at=virtual_clock()))
        await asyncio.sleep(3600)
        third.die()
        assert world.everywhere() == UP, str(event.reason)


@in_virtual_time
async def test_a_lost_nodes_pod_serves_again_though_its_drain_was_given_up() -> None:
    async with World() as world:
        own = await world.process()
        world.nodes[1].trouble = Trouble.down  # for more than an hour, as in the same zone
        await world.send(node_lost())
        await world.until(Outcome.failed)
        world.nodes[1].trouble = None
        await restore(world, a_pod())
        await asyncio.sleep(1800)
        own.die()
        assert world.everywhere() == UP


@in_virtual_time
async def test_it_serves_again_while_a_node_is_away() -> None:
    async with World() as world:
        own = await world.process()
        world.nodes[1].trouble = Trouble.down
        await world.send(node_lost())
        await asyncio.sleep(120)
        await restore(world, a_pod())
        await asyncio.sleep(600)
        own.die()
        assert world.everywhere()[0] == "UP"


@in_virtual_time
async def test_what_was_given_up_by_hand_can_be_put_back_by_hand() -> None:
    async with World(guard=GuardPolicy(last_instance=False)) as world:
        own = await world.process()
        world.nodes[1].trouble = Trouble.denying
        now = virtual_clock()
        asked = a_command(
            a_pod(), drain_id="by-hand", cause=Cause.asked, requested_by="ann", requested_at=now, observed_at=now
        )
        await world.send(replace(asked, since_at=now, end_at=now + timedelta(days=3650)))
        await world.until(Outcome.failed)
        held = ledger_of(world).held_at(a_pod())
        own.die()
        assert world.everywhere() == OUT
        assert not isinstance(restores_of(a_pod(), "test", held, Requester(by="ann", at=virtual_clock())), str)
