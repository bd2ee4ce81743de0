"""One id in several apps: a server keeps overrides by the id alone."""

from __future__ import annotations

import asyncio

import pytest

from controller.domain.events import Outcome
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.restoring import going, restore
from tests.flows.test_whose import OUT, UP
from tests.flows.world import World
from tests.unit.building import POD_IP, a_pod

BY_ADDRESS = f"{POD_IP}:8080"
"""An id that says nothing of the app: `${spring.cloud.client.ip-address}:${server.port}`."""


@in_virtual_time
async def test_another_app_under_the_id_at_an_address_that_is_used_again_serves() -> None:
    async with World() as world:
        own = await world.process("ORDERS", BY_ADDRESS, host=POD_IP)
        await world.send(going())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        own.die()
        await world.end()
        await asyncio.sleep(30)
        heir = a_pod("uid-2", name="billing-7cd9c4fbcc-nlttw", created_at=virtual_clock())
        await asyncio.sleep(20)
        newer = await world.process("BILLING", BY_ADDRESS, host=POD_IP)
        await restore(world, heir)
        await asyncio.sleep(60)
        assert world.everywhere("BILLING", BY_ADDRESS) == UP
        await asyncio.sleep(1200)
        assert world.everywhere("ORDERS", BY_ADDRESS) == [None, None]
        assert world.everywhere("BILLING", BY_ADDRESS) == UP
        newer.die()


@pytest.mark.parametrize("alive", [False, True], ids=["left behind", "alive elsewhere"])
@in_virtual_time
async def test_what_another_app_left_under_the_id_keeps_nobody_in_service(alive: bool) -> None:
    async with World() as world:
        other = await world.process("BILLING", BY_ADDRESS, host=POD_IP)
        if not alive:
            other.die()
        await asyncio.sleep(60)
        born = virtual_clock()
        await asyncio.sleep(20)
        own = await world.process("ORDERS", BY_ADDRESS, host=POD_IP)
        await asyncio.sleep(60)
        await world.send(going(a_pod(created_at=born)))
        await asyncio.sleep(60)
        assert world.everywhere("ORDERS", BY_ADDRESS) == (UP if alive else OUT), "an override is keyed by id alone"
        other.die()
        own.die()
