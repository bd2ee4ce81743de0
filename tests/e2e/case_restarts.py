"""Eureka nodes that are restarted around a drain: one copies the dead, too, or nothing is left of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika

from controller.rabbit.delay import LEVELS
from tests.e2e.case_scene import Case
from tests.e2e.product import APART, product
from tests.faults.street import street
from tests.stack.cluster import Cluster, fresh_namespace
from tests.stack.rabbitmq import RabbitMq, empty_vhost
from tests.stack.stack import Stack

RESTARTED_AFTER = 50.0
"""Seconds from the drain."""


@asynccontextmanager
async def restart_scene(folder: Path, cluster: Cluster, broker: RabbitMq) -> AsyncIterator[Case]:
    """Nodes of its own, which copy what is not UP, too; and queues of its own."""
    settings = {"eureka.client.filter-only-up-instances": "false"}
    async with (
        empty_vhost(broker, "restarts") as ours,
        Stack(regions={"eu": 2}, eureka_settings=settings) as stack,
        fresh_namespace(cluster) as namespace,
        product(folder, cluster, ours, stack.eureka["eu"], namespace, roles=APART) as running,
        street(cluster, stack.eureka["eu"], namespace) as place,
    ):
        yield Case(running, place, "", {}, {})


async def what_restarted_nodes_copy_of_the_dead_stays_out_and_goes(case: Case) -> None:
    notes = {"eureka.drain/instance-id": "{hostname}:copied:8080", "eureka.drain/retention": "60s"}
    one = await case.place.pod("copied-0", notes)
    client = await case.registered(one, app="copied", listed=False)
    own = client.registration
    await case.delete(one, client)
    await case.running.log.wait_for(one.name, "out_of_service")
    drained_at = time.monotonic()
    await case.shown(own.app, own.instance_id, lambda sample: sample.is_out, "out")
    async with case.never(own.app, own.instance_id, lambda sample: sample.served):
        await asyncio.sleep(RESTARTED_AFTER - (time.monotonic() - drained_at))
        before = await case.place.eureka.read(own.app, own.instance_id)
        for node in case.place.eureka.nodes:
            await node.restart()
        copies = await case.place.eureka.read(own.app, own.instance_id)
        for old, new in zip(before, copies, strict=True):
            assert old is not None
            assert new is not None, "it was not copied"
            assert _registered(new) > _registered(old), "its time is not another one"
        await case.running.log.wait_for(one.name, "removed", timeout=90)
        await case.shown(own.app, own.instance_id, lambda sample: set(sample.seen) == {"absent"}, "absent")
    assert "restored" not in case.running.log.outcomes(one.name)


def _registered(instance: dict[str, dict[str, int]]) -> int:
    return int(instance["leaseInfo"]["registrationTimestamp"])


async def what_only_the_log_remembers_goes_out_when_it_registers_again(case: Case) -> None:
    one = await case.place.pod("remembered-0", {"eureka.drain/instance-id": "{hostname}:remembered:8080"}, lingers=200)
    client = await case.registered(one, app="remembered", listed=False)
    own = client.registration
    await case.cluster.client.delete("pods", one.name, one.namespace)
    await case.shown(own.app, own.instance_id, lambda sample: sample.is_out, "out")
    await case.running.log.wait_for(one.name, "out_of_service")
    await client.end()
    await asyncio.gather(*(process.kill() for process in case.running.processes))
    await _lose_what_is_under_way(case)
    nodes = case.place.eureka.nodes
    await asyncio.gather(*(node.kill() for node in nodes))
    await asyncio.gather(*(node.start() for node in nodes))
    assert set(await case.place.eureka.statuses(own.app, own.instance_id)) == {None}
    await asyncio.gather(*(process.start() for process in case.running.processes))
    await asyncio.sleep(3)
    again = case.client(one, app="remembered")
    await again.say("UP")
    await case.shown(own.app, own.instance_id, lambda sample: sample.is_out, "out again")
    async with case.never(own.app, own.instance_id, lambda sample: sample.served):
        await asyncio.sleep(12)
    assert "restored" not in case.running.log.outcomes(one.name)


async def _lose_what_is_under_way(case: Case) -> None:
    """Every command, but not the log."""
    async with await aio_pika.connect(case.running.broker_url) as connection:
        channel = await connection.channel()
        for name in (f"drain.commands.{case.running.region}", *(f"drain.delay.{n:02}" for n in range(LEVELS))):
            await (await channel.get_queue(name)).purge()
