"""The guard in the worker: it holds back what a person or the sweep requests, and never what really dies."""

from __future__ import annotations

import asyncio

import pytest

from controller.domain.events import Outcome
from controller.domain.guard_policy import GuardPolicy
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.world import APP, OUT_EVERYWHERE, World
from tests.unit.building import a_command, a_pod, terminating


@pytest.mark.parametrize(
    ("requested_by", "guard", "ends"), [("ann", True, "UP"), ("ann", False, "out"), ("", True, "out")]
)
@in_virtual_time
async def test_the_last_instance_that_is_up_is_kept_unless_it_is_really_dying(
    requested_by: str, guard: bool, ends: str
) -> None:
    async with World(remove=False, guard=GuardPolicy(last_instance=guard)) as world:
        await world.process()
        await world.send(a_command(requested_by=requested_by))
        await world.until_idle()
        assert world.everywhere() == (["UP", "UP"] if ends == "UP" else OUT_EVERYWHERE)
        assert world.broker.outcomes == [Outcome.refused if ends == "UP" else Outcome.out_of_service]
        assert ("last instance" in str(world.broker.events[0].reason)) == (ends == "UP")


@in_virtual_time
async def test_it_is_drained_beside_another_that_is_up_but_not_one_that_seems_so() -> None:
    async with World(remove=False) as world:
        await world.process()
        other = await world.process(APP, "orders-1:orders:8080", ip="10.1.0.8", host="orders-1")
        await other.shutdown()
        await world.send(a_command(requested_by="ann"))
        await world.until_idle()
        assert world.everywhere() == ["UP", "UP"], "the other one is in the cache only"
        await world.process(APP, "orders-2:orders:8080", ip="10.1.0.9", host="orders-2")
        await asyncio.sleep(31)  # the servers' response cache
        await world.send(a_command(requested_by="bob"))
        await world.until_idle()
        assert world.everywhere() == OUT_EVERYWHERE


@in_virtual_time
async def test_a_dead_instance_is_taken_out_even_if_it_is_the_last_that_is_up() -> None:
    async with World(remove=False) as world:
        app = await world.process()
        app.die()
        await asyncio.sleep(200)
        await world.send(a_command(requested_by="ann"))
        await world.until_idle()
        assert world.everywhere() == OUT_EVERYWHERE


@in_virtual_time
async def test_no_more_than_a_quarter_a_minute_and_all_of_them_in_the_end() -> None:
    async with World(remove=False) as world:
        names = [f"orders-{number}" for number in range(8)]
        for number, name in enumerate(names):
            await world.process(APP, f"{name}:orders:8080", ip=f"10.1.0.{10 + number}", host=name)
        for number, name in enumerate(names[:6]):
            pod = terminating(a_pod(f"uid-{name}", name=name, ip=f"10.1.0.{10 + number}"))
            await world.send(a_command(pod, drain_id=name, requested_by="ann"))
        await asyncio.sleep(50)
        assert [world.everywhere(APP, f"{name}:orders:8080") for name in names].count(OUT_EVERYWHERE) == 2
        await world.until_idle()
        assert [world.everywhere(APP, f"{name}:orders:8080") for name in names].count(OUT_EVERYWHERE) == 6
