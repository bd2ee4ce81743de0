"""The pods of one namespace, the clients that a test plays for them, and what every node shows of these."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import count, pairwise

from tests.stack.cluster import Cluster
from tests.stack.eureka_client import Client, Registration
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.node import IP_ANNOTATION
from tests.stack.pod_process import PodProcess
from tests.stack.registry_client import UNREACHABLE, RegistryClient
from tests.stack.waiting import until
from tests.stack.workloads import container, pod, pod_spec

OUT = "OUT_OF_SERVICE, override OUT_OF_SERVICE"
"""What a node shows of an instance that was taken out."""
LOOK_TIMEOUT = 1.0
LINGERS = 2
"""Seconds of preStop, in which a pod that was deleted with grace goes on heartbeating."""
MAX_STARTING = 16
"""Pods that are started at a time."""


@dataclass(frozen=True)
class Sample:
    """What every node said at one moment (time.monotonic()); None: no answer."""

    at: float
    seen: tuple[str | None, ...]

    @property
    def serves(self) -> bool:
        """Whether every node gives it to clients, and keeps no override."""
        return all(one == "UP" for one in self.seen)

    def without(self, nodes: Collection[int]) -> "Sample":
        """What the other nodes said."""
        return Sample(self.at, tuple(one for number, one in enumerate(self.seen) if number not in nodes))

    @property
    def served(self) -> bool:
        """Whether any node gives it to clients."""
        return any(one is not None and one.startswith("UP") for one in self.seen)

    @property
    def spoiled(self) -> bool:
        """Whether any node that answers does not give it to clients, or keeps an override."""
        return any(one not in (None, "UP") for one in self.seen)

    @property
    def is_out(self) -> bool:
        """Whether every node answers, and none gives it to clients."""
        return all(one in (OUT, "absent") for one in self.seen)

    @property
    def is_held(self) -> bool:
        """Whether any node has it out of service."""
        return any(one is not None and "OUT" in one for one in self.seen)


def changes(samples: Sequence[Sample], begin: float) -> str:
    """What was shown, each change once, with the seconds since a moment."""
    found = [*samples[:1], *(two for one, two in pairwise(samples) if one.seen != two.seen)]
    return "; ".join(f"{sample.at - begin:+.1f} s {list(sample.seen)}" for sample in found)


class Street:
    """The pods of one namespace."""

    def __init__(self, cluster: Cluster, eureka: EurekaNodes, namespace: str) -> None:
        self.cluster, self.eureka, self.namespace = cluster, eureka, namespace
        # Part of every id: a late copy of a DELETE at the end of an earlier street must not meet a registration here.
        self.mark = secrets.token_hex(2)
        # Of our own: nobody else's timeouts end a heartbeat's connection.
        self.nodes = [RegistryClient(url) for url in eureka.urls]
        self.clients: list[Client] = []
        # Not the loopback addresses that pods with processes have: those prove nothing about who registered them.
        self._addresses = (ip_network("10.0.0.0/8")[number] for number in count(random.randrange(1 << 23)))
        self._starting = asyncio.Semaphore(MAX_STARTING)

    def new_address(self) -> str:
        """One that no other pod of this street has."""
        return str(next(self._addresses))

    async def pod(
        self,
        name: str,
        annotations: dict[str, str],
        *,
        ip: str = "",
        port: int = 8080,
        host_network: bool = False,
        lingers: int = LINGERS,
        namespace: str = "",
    ) -> PodProcess:
        """A pod that runs, without a process."""
        one = container(lifecycle={"preStop": {"sleep": {"seconds": lingers}}})
        one["ports"] = [{"containerPort": port}]
        notes = annotations | {IP_ANNOTATION: ip or self.new_address()}
        spec = pod_spec(one, host_network=host_network, grace_seconds=lingers + 30)
        body = pod(name, spec, annotations=notes)
        async with self._starting:
            created = await self.cluster.client.create("pods", body, namespace or self.namespace)
            pods, uid = self.cluster.node.pods, created["metadata"]["uid"]
            await until(lambda: uid in pods and pods[uid].timeline.ready, f"{name} ready", timeout=60)
        return pods[uid]

    def client(self, registration: Registration, node: int) -> Client:
        """A client that keeps to this node while it answers."""
        client = Client([*self.nodes[node:], *self.nodes[:node]], registration)
        self.clients.append(client)
        return client

    async def look(self, app: str, instance_id: str) -> Sample:
        """Ask every node for its status, with the override if there is one."""
        at = time.monotonic()
        return Sample(at, tuple(await asyncio.gather(*(_ask(node, app, instance_id) for node in self.nodes))))

    async def close(self) -> None:
        """End all clients, and forget what was registered."""
        await asyncio.gather(*(client.end() for client in self.clients))
        ids = {(client.registration.app, client.registration.instance_id) for client in self.clients}
        for app, instance_id in ids:
            for node in self.nodes:
                with suppress(*UNREACHABLE):
                    await node.delete(app, instance_id)
        await asyncio.gather(*(node.close() for node in self.nodes))


async def _ask(node: RegistryClient, app: str, instance_id: str) -> str | None:
    try:
        async with asyncio.timeout(LOOK_TIMEOUT):
            found = await node.get(app, instance_id)
    except UNREACHABLE:
        return None
    if found is None:
        return "absent"
    override = found.get("overriddenStatus", found.get("overriddenstatus", "UNKNOWN"))
    return str(found["status"]) if override == "UNKNOWN" else f"{found['status']}, override {override}"


@asynccontextmanager
async def street(cluster: Cluster, eureka: EurekaNodes, namespace: str) -> AsyncIterator[Street]:
    """Ended with all its clients."""
    one = Street(cluster, eureka, namespace)
    try:
        yield one
    finally:
        await one.close()
