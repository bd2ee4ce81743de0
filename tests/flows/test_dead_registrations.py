"""What a dead process has registered last stays out, whoever has its address by now."""

from __future__ import annotations

import asyncio

import pytest

from controller.domain.events import Outcome
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.restoring import restore
from tests.flows.test_whose import OUT
from tests.flows.world import APP, World, sleep_until
from tests.unit.building import POD_IP, a_command, a_living_pod, a_pod, at, terminating


@pytest.mark.parametrize("heir", ["orders", "billing"])
@in_virtual_time
async def test_what_the_dead_pod_registered_anew_stays_out(heir: str) -> None:
    """A Eureka node is restarted during the drain, so the process registers anew; its heir was Pending meanwhile."""
    instance_id = f"{POD_IP}:orders:8080"
    async with World() as world:
        own = await world.process(APP, instance_id, host=POD_IP)
        await world.send(a_command(terminating(a_pod(), grace=100), end_at=at(100)))
        await world.until(Outcome.out_of_service)
        await sleep_until(10)
        await world.nodes[0].kill()
        world.nodes[0].trouble = None  # a stock server copies what is UP only
        await sleep_until(100)
        own.die()
        assert world.everywhere(APP, instance_id) == OUT
        await world.end()
        await sleep_until(102)
        name = f"{heir}-5f5d9c4fbc-nlttw"
        await restore(world, a_pod("uid-2", name=name, app_label=heir, ip=POD_IP, created_at=at(0)))
        for _ in range(120):
            await asyncio.sleep(0.5)
            assert "UP" not in world.everywhere(APP, instance_id)


@in_virtual_time
async def test_what_it_registered_anew_on_a_nodes_network_stays_out() -> None:
    facts = {"host_network": True, "ip": "10.0.0.1", "host_ips": ("10.0.0.1",), "app_label": "orders"}
    instance_id = "node-a:orders:8080"
    async with World() as world:
        own = await world.process(APP, instance_id, ip="10.0.0.1", host="node-a")
        await world.send(a_command(terminating(a_pod(name="agent-x2k4q", **facts), grace=60), end_at=at(60)))
        await world.until(Outcome.out_of_service)
        await sleep_until(10)
        await world.nodes[0].kill()
        world.nodes[0].trouble = None
        await sleep_until(46)
        own.die()
        await world.end()
        await sleep_until(47)
        await restore(world, a_pod("uid-2", name="agent-z7k4q", created_at=at(47), **facts))
        for _ in range(120):
            await asyncio.sleep(0.5)
            assert "UP" not in world.everywhere(APP, instance_id)


@in_virtual_time
async def test_what_renewed_last_before_the_proved_end_is_no_living_pods() -> None:
    """The watch was away: the command comes late. The heir was Pending until it got the address at the pod's end."""
    async with World() as world:
        await sleep_until(30)
        own = await world.process(host=POD_IP)
        await sleep_until(130)
        own.die()
        await sleep_until(240)
        name = "orders-5f5d9c4fbc-nlttw"
        heir = a_living_pod(name=name, ip=POD_IP, host_names=(name,), created_at=at(-10))
        ended = {"gone_at": at(131), "end_proved": True, "end_at": at(131)}
        await world.send(a_command(observed_at=at(240), living=(heir,), **ended))
        await asyncio.sleep(1200)
        assert "UP" not in world.everywhere()
