"""The installation, once: pods of the real Deployments, run by the node stand-in with the roles' own accounts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from tests.install.desk import Desk, stand_in_desk
from tests.install.page import sections, with_hosts
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.images import Image
from tests.stack.observing import ready_pods
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import deployment, pod_spec, python_service

NAMESPACE = "eureka-drain"
IMAGE = "registry.example/eureka-drain"
PORT = 8080
OUT = {"out_of_service", "removed"}


@dataclass(frozen=True)
class Installed:
    """What the page has led to so far, and its other sections by title."""

    cluster: Cluster
    broker: RabbitMq
    eureka: EurekaNodes
    desk: Desk
    hosts: dict[str, str]

    async def follow(self, title: str) -> list[str]:
        """Run one section; what each of its blocks said."""
        [found] = [blocks for name, blocks in sections().items() if name.startswith(title)]
        return [await self.desk.run(with_hosts(block, self.hosts)) for block in found]

    async def pods(self) -> set[str]:
        """The names of the pods in the shop."""
        return {one["metadata"]["name"] for one in await self.cluster.client.list("pods", "shop")}

    async def drained(self, pods: set[str], ops: str) -> None:
        """Wait until these are out of service, by the word of this Deployment: `-n NAMESPACE deployment/NAME`."""
        command = f"kubectl exec {ops} -- eureka-drain drains --since 10m -o json"

        async def all_are() -> bool:
            records = [json.loads(line) for line in (await self.desk.run(command)).splitlines()]
            return {record["pod"] for record in records if record["state"] in OUT} >= pods

        await until(all_are, f"{len(pods)} old pods out of service", timeout=90, interval=2)

    async def readiness(self, role: str) -> tuple[int, str]:
        """What /readyz of one pod of a role says."""
        labels = f"app.kubernetes.io/component={role}"
        pods = await self.cluster.client.list("pods", NAMESPACE, labels=labels)
        [address, *_] = [one["status"]["podIP"] for one in pods if "deletionTimestamp" not in one["metadata"]]
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}:{PORT}/readyz") as answer:
            return answer.status, await answer.text()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installed(
    tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes
) -> AsyncIterator[Installed]:
    """Sections 1 to 3 of the page; at the end its last one."""
    if os.geteuid() != 0:
        pytest.skip("kubectl exec is played by nsenter, which needs root")
    # Each pod has a network of its own in a cluster; here it has a loopback address.
    own_address = {"EUREKA_DRAIN_HTTP__HOST": "$(POD_IP)"}
    cluster.node.images[IMAGE] = Image([sys.executable, "-m", "controller"], own_address)
    hosts = {
        "http://eureka-0.eureka.infra:8761/eureka": eureka_pair.urls[0],
        "http://eureka-1.eureka.infra:8761/eureka": eureka_pair.urls[1],
        "rabbitmq.infra:5672": f"127.0.0.1:{broker.port}",
    }
    desk = stand_in_desk(tmp_path_factory.mktemp("install"), cluster, broker)
    made = Installed(cluster, broker, eureka_pair, desk, hosts)
    for title in ("1.", "2.", "3."):
        await made.follow(title)
    yield made
    await made.follow("Taking it away")
    del cluster.node.images[IMAGE]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def orders(cluster: Cluster, eureka_pair: EurekaNodes) -> AsyncIterator[str]:
    """The Deployment that the page drains: three replicas that register."""
    await cluster.client.create("namespaces", {"metadata": {"name": "shop"}}, None)
    hook = {"preStop": {"sleep": {"seconds": 4}}}
    service = python_service("orders", eureka_pair.urls, renewal_seconds=2, lifecycle=hook)
    await cluster.client.create("deployments", deployment("orders", pod_spec(service), replicas=3), "shop")
    await ready_pods(cluster, "shop", "orders", 3)
    yield "orders"
    await cluster.client.delete("deployments", "orders", "shop")
    await cluster.client.delete("namespaces", "shop", None)
