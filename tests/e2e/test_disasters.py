"""What is lost with the broker's virtual host, its event log, or a region's nodes, and what goes on all the same."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import aio_pika

from controller.rabbit import names
from tests.e2e.event_log import event_log
from tests.e2e.operator import Operator
from tests.e2e.product import APART, product
from tests.e2e.test_causes import BY_TEMPLATE, serving
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import shown_everywhere
from tests.stack.rabbitmq import RabbitMq, empty_vhost

SETTINGS = {**BY_TEMPLATE, "retention": "15s"}


async def test_a_virtual_host_that_is_lost_costs_the_history_and_no_drain(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    name = f"lost-{secrets.token_hex(3)}"
    async with (
        empty_vhost(broker, name) as ours,
        product(tmp_path, cluster, ours, eureka_pair, namespace, settings=SETTINGS, roles=APART) as running,
    ):
        pods = {one: await serving(cluster, eureka_pair, namespace, one) for one in ("held", "meanwhile", "later")}
        await cluster.client.delete("pods", "held", namespace)
        await running.log.wait_for("held", "out_of_service")
        await broker.call("DELETE", "vhosts", name)
        await cluster.client.delete("pods", "meanwhile", namespace)
        await asyncio.sleep(3)
        assert not await running.processes[0].is_ready()
        await broker.add_vhost(name)
        await shown_everywhere(eureka_pair, "meanwhile", f"{pods['meanwhile'].timeline.ip}:meanwhile:8080", None)
        await cluster.client.delete("pods", "later", namespace)
        async with event_log(ours.url, running.region) as log:
            for one, pod in pods.items():
                await log.wait_for(one, "removed")
                await shown_everywhere(eureka_pair, one, f"{pod.timeline.ip}:{one}:8080", None)
            assert log.outcomes("held") == ["removed"], "its beginning is lost"
            assert log.outcomes("meanwhile") == log.outcomes("later") == ["requested", "out_of_service", "removed"]
        assert "the virtual host does not exist" in running.output()


async def test_an_event_log_that_is_lost_leaves_an_override_to_a_person(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    """Drains go on. What nobody remembers afterwards is whose an override is."""
    name = f"unlogged-{secrets.token_hex(3)}"
    settings = {**BY_TEMPLATE, "retention": "15s", "guard.last_instance": "false"}
    async with (
        empty_vhost(broker, name) as ours,
        product(tmp_path, cluster, ours, eureka_pair, namespace, settings=settings, roles=APART) as running,
    ):
        taken = await serving(cluster, eureka_pair, namespace, "taken")
        held = await serving(cluster, eureka_pair, namespace, "held")
        taken_id = f"{taken.timeline.ip}:taken:8080"
        operator = Operator(
            cluster, ours, {running.region: eureka_pair.urls}, settings | running_settings(running.region)
        )
        await operator.run("drain", f"{namespace}/taken")
        await cluster.client.delete("pods", "held", namespace)
        await running.log.wait_for("held", "out_of_service")
        for process in running.processes:
            await process.stop()
        async with await aio_pika.connect(ours.url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(names.EVENTS)
        for process in running.processes:
            await process.start()
        await shown_everywhere(eureka_pair, "held", f"{held.timeline.ip}:held:8080", None)
        refused = await operator.run("restore", f"{namespace}/taken", expect=1)
        assert "the event log says of no drain that it holds this pod out of service" in refused.messages
        assert await eureka_pair.statuses("taken", taken_id) == ["OUT_OF_SERVICE"] * 2
        for node in eureka_pair.nodes:  # by hand, as the page says
            await node.registry.delete_status("taken", taken_id, "UP")
        await shown_everywhere(eureka_pair, "taken", taken_id, "UP")


async def test_a_region_whose_nodes_have_all_forgotten_fills_itself_again(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=SETTINGS, roles=APART) as running:
        gone = await serving(cluster, eureka_pair, namespace, "gone")
        stays = await serving(cluster, eureka_pair, namespace, "stays")
        await eureka_pair.stop()
        try:
            await cluster.client.delete("pods", "gone", namespace)
            waits = await running.log.wait_for("gone", "retrying")
            assert waits["reason"]["code"] == "unreachable"
        finally:
            await eureka_pair.start()
        stays_id = f"{stays.timeline.ip}:stays:8080"
        await shown_everywhere(eureka_pair, "stays", stays_id, "UP")
        await running.log.wait_for("gone", "not_registered", timeout=120)
        assert await eureka_pair.statuses("gone", f"{gone.timeline.ip}:gone:8080") == [None, None]
        assert await eureka_pair.statuses("stays", stays_id) == ["UP", "UP"]


def running_settings(region: str) -> dict[str, str]:
    return {"watch.cluster": region, "routing.default_regions": region}
