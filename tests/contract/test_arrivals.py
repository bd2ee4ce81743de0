"""Which instances of an app came up, and when, by a real Eureka node's word."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.domain.arrivals import Arrival
from controller.errors import RegistryError
from tests.contract.regions import IP, adapter, clock, fresh_app
from tests.stack.addresses import free_port
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.waiting import until


async def test_an_instance_has_come_up_once_it_says_up(eureka_pair: EurekaNodes) -> None:
    app, node = fresh_app(), eureka_pair.nodes[0]
    begun_at = clock()
    silent = f"http://127.0.0.1:{free_port()}/eureka"
    async with adapter(silent, node.url) as region:
        for name, status in (("one", "UP"), ("two", "STARTING")):
            await node.registry.register(app, name, ip=IP, status=status)

        async def came_up(name: str) -> Arrival | None:
            return next((one for one in await region.arrivals(app) if one.id == name), None)

        async def first_one() -> Arrival | None:
            return await came_up("one")

        arrival = await until(first_one, "it to be listed", timeout=45)
        assert arrival.up_at is not None
        assert arrival.app == app
        assert begun_at - timedelta(seconds=2) <= arrival.up_at <= clock() + timedelta(seconds=2)
        assert await came_up("two") is None
        assert await region.arrivals(fresh_app()) == ()


async def test_nobody_answers() -> None:
    async with adapter(f"http://127.0.0.1:{free_port()}/eureka") as region:
        with pytest.raises(RegistryError, match="unreachable"):
            await region.arrivals("ORDERS")
