"""What several cases share that are played beside each other: the product, its pods, and broken ways to the nodes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.product import Product, product
from tests.faults.street import Sample, Street, changes, street
from tests.stack.cluster import Cluster, fresh_namespace
from tests.stack.eureka_client import Client, Registration
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.pod_process import PodProcess
from tests.stack.rabbitmq import RabbitMq
from tests.stack.toxiproxy import Proxy, Toxiproxy
from tests.stack.waiting import until

RENEWAL_SECONDS = 2
BROKEN = ("refusing", "away", "slow")
"""Regions, by what is wrong with the way to one of their nodes."""


@dataclass(frozen=True)
class Case:
    """The stage of a case."""

    running: Product
    place: Street
    other_namespace: str
    """It is not watched."""
    ways: dict[str, list[Proxy]]
    """Of each broken region, the ways to its nodes."""
    names: dict[str, str]
    """The regions, as the product has them."""

    @property
    def cluster(self) -> Cluster:
        return self.place.cluster

    def in_region(self, kind: str) -> dict[str, str]:
        """The annotation of a pod that goes to a broken region."""
        return {"eureka.drain/region": self.names[kind]}

    async def registered(
        self, one: PodProcess, instance_id: str = "", *, app: str = "", host: str = "", listed: bool = True
    ) -> Client:
        """The pod's process registers as UP, and is known to every node and, where `listed`, to callers."""
        client = self.client(one, instance_id, app=app, host=host)
        await client.say("UP")
        own = client.registration
        await self.shown(own.app, own.instance_id, lambda sample: sample.serves, "UP at every node")
        if listed:
            await self.known(own.instance_id)
        return client

    def client(self, one: PodProcess, instance_id: str = "", *, app: str = "", host: str = "") -> Client:
        """The pod's process, by default with Spring's stock id."""
        app = app or one.name
        own = instance_id or f"{one.name}:{app}:8080"
        return self.place.client(Registration(app, own, one.ip, host or one.name, 8080, RENEWAL_SECONDS), 0)

    async def registered_at_second(self, one: PodProcess) -> str:
        """The pod's process registers at the second node, which does not pass it on; it never renews."""
        app, instance_id = one.name, f"{one.ip}:{one.name}:8080"
        first, second = self.place.nodes
        # It never renews, and should outlive the case.
        await second.register(app, instance_id, ip=one.ip, lease_seconds=3600)
        await until(lambda: first.get(app, instance_id), f"{instance_id} at both nodes")
        await self.known(instance_id, nodes=slice(1, 2))

        async def forgotten() -> bool:
            # Again and again: a batch that the second node took for lost is sent a second time.
            return not await first.forget(app, instance_id) and not await self._all_list(instance_id, slice(0, 1))

        await until(forgotten, f"{instance_id} unknown to the first node", timeout=60, interval=1)
        return instance_id

    async def known(self, instance_id: str, *, nodes: slice = slice(None)) -> None:
        """The nodes give it to callers, from their caches."""
        await until(lambda: self._all_list(instance_id, nodes), f"{instance_id} listed", timeout=60, interval=1)

    async def _all_list(self, instance_id: str, nodes: slice) -> bool:
        listed = [await node.apps() for node in self.place.nodes[nodes]]
        return all(any(one["instanceId"] == instance_id for app in apps.values() for one in app) for apps in listed)

    async def delete(self, one: PodProcess, client: Client | None = None) -> None:
        """Delete a pod; its process ends with its preStop."""
        await self.cluster.client.delete("pods", one.name, one.namespace)
        await until(lambda: one.timeline.exited_at, f"{one.name} ended")
        if client is not None:
            await client.end()

    async def gone(self, one: PodProcess) -> None:
        """Its object."""
        await until(lambda: one.timeline.deleted_at, f"{one.name} gone")

    async def shown(
        self, app: str, instance_id: str, right: Callable[[Sample], bool], what: str, *, timeout: float = 30
    ) -> float:
        """Wait until the nodes show what is right; return the seconds that it took."""
        begun_at = time.monotonic()

        async def look() -> bool:
            return right(await self.place.look(app, instance_id))

        await until(look, f"{instance_id} {what}", timeout=timeout)
        return time.monotonic() - begun_at

    @asynccontextmanager
    async def never(self, app: str, instance_id: str, wrong: Callable[[Sample], bool]) -> AsyncIterator[None]:
        """Look all the time, and complain at the end of what was wrong."""
        samples: list[Sample] = []

        async def sample() -> None:
            while True:
                samples.append(await self.place.look(app, instance_id))
                await asyncio.sleep(0.3)

        sampling = asyncio.create_task(sample())
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
        assert not [one for one in samples if wrong(one)], f"{instance_id}: {changes(samples, samples[0].at)}"


@asynccontextmanager
async def case_scene(
    folder: Path, binaries: Path, cluster: Cluster, broker: RabbitMq, eureka: EurekaNodes, namespace: str
) -> AsyncIterator[Case]:
    """One product for all cases: its first region is well, the others are reached by ways that can be broken."""
    server = Toxiproxy(folder / "ways", binaries)
    await server.start()
    try:
        ports = [urlsplit(url).port or 0 for url in eureka.urls]
        ways = {kind: [await server.before(f"{kind}-{port}", port) for port in ports] for kind in BROKEN}
        names = {kind: f"{kind}-{secrets.token_hex(3)}" for kind in BROKEN}
        also = {names[kind]: [f"http://127.0.0.1:{way.port}/eureka" for way in ways[kind]] for kind in BROKEN}
        async with (
            product(folder, cluster, broker, eureka, namespace, also=also) as running,
            street(cluster, eureka, namespace) as place,
            fresh_namespace(cluster) as other,
        ):
            yield Case(running, place, other, ways, names)
    finally:
        await server.close()
