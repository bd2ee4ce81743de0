"""Pods that cost nothing, and their clients: registered in Eureka, renewed by us until the pod's process has ended.

A pod here is a container without a command (it idles without a process), so that its end is seen to the millisecond by
the one that plays its client. As Netflix's client, ours reports to the first node, to the next one only when
that fails, and registers again when its renewal is answered with 404.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.pod_process import PodProcess
from tests.stack.registry_client import UNREACHABLE, RegistryClient
from tests.stack.waiting import until
from tests.stack.workloads import container, pod, pod_spec

PATIENCE = 2.0
"""Seconds that a client waits for a node."""
AT_ONCE = 16
LOOKED_AT = 25
"""Of a crowd, in one round of samples."""


@dataclass(eq=False)
class Subject:
    """One pod and its instance."""

    name: str
    app: str
    pod: PodProcess
    crowd: bool = False
    """One of hundreds: looked at in turn."""
    deleted_at: float | None = None
    """By time.monotonic(): when its deletion was asked for; None for those that are to live."""
    renewing: asyncio.Task[None] | None = field(default=None, repr=False)
    registered: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def uid(self) -> str:
        return self.pod.timeline.uid

    @property
    def ip(self) -> str:
        assert self.pod.timeline.ip is not None
        return self.pod.timeline.ip

    @property
    def instance_id(self) -> str:
        return f"{self.ip}:{self.app}:8080"

    @property
    def ended(self) -> bool:
        """Whether its process is gone."""
        return self.pod.timeline.exited_at is not None


class Population:
    """The pods of one namespace."""

    def __init__(
        self,
        cluster: Cluster,
        eureka: EurekaNodes,
        namespace: str,
        *,
        renewal_seconds: int = 1,
        lease_seconds: int = 90,
    ) -> None:
        self.subjects: list[Subject] = []
        self._cluster = cluster
        self._namespace = namespace
        self._renewal_seconds = renewal_seconds
        self._lease_seconds = lease_seconds
        # Clients of its own: a sampler's timeouts must not end a heartbeat's connection.
        self.nodes = [RegistryClient(url) for url in eureka.urls]
        self._slots = asyncio.Semaphore(AT_ONCE)

    @property
    def dying(self) -> list[Subject]:
        """Those whose deletion was asked for."""
        return [subject for subject in self.subjects if subject.deleted_at is not None]

    @property
    def living(self) -> list[Subject]:
        """The others."""
        return [subject for subject in self.subjects if subject.deleted_at is None]

    async def close(self) -> None:
        """No more heartbeats."""
        for subject in self.subjects:
            if subject.renewing is not None:
                subject.renewing.cancel()
        await asyncio.gather(*(s.renewing for s in self.subjects if s.renewing is not None), return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self.nodes))

    async def add(self, name: str, app: str, *, lingers: int = 0, waits: bool = True, crowd: bool = False) -> Subject:
        """A pod that is ready and, unless we do not wait for that, registered.

        `lingers`: seconds of preStop, in which it goes on renewing.
        """
        lifecycle = {"preStop": {"sleep": {"seconds": lingers}}} if lingers else None
        annotations = {"eureka.drain/app": app, "eureka.drain/port": "8080"}
        spec = pod_spec(container(lifecycle=lifecycle))
        async with self._slots:
            created = await self._cluster.client.create(
                "pods", pod(name, spec, annotations=annotations), self._namespace
            )
            pods, uid = self._cluster.node.pods, created["metadata"]["uid"]
            await until(lambda: uid in pods and pods[uid].timeline.ready, f"{name} ready", timeout=90)
            subject = Subject(name, app, pods[uid], crowd)
        self.subjects.append(subject)
        subject.renewing = asyncio.create_task(self._stay_registered(subject))
        if waits:
            await asyncio.wait_for(subject.registered.wait(), 90)
        return subject

    async def add_crowd(self, count: int, app: str, *, lingers: int = 0) -> list[Subject]:
        """Many of one app."""
        return await asyncio.gather(
            *(self.add(f"crowd-{number}", app, lingers=lingers, crowd=True) for number in range(count))
        )

    def in_turn(self, turn: int) -> list[Subject]:
        """Everybody who is not of a crowd, and of the crowd those whose turn it is: a few at a time."""
        crowd = [subject for subject in self.subjects if subject.crowd]
        step = 1 + len(crowd) // LOOKED_AT
        return [subject for subject in self.subjects if not subject.crowd] + crowd[turn % step :: step]

    async def delete(self, subject: Subject, *, outright: bool = False) -> None:
        """Ask for its end."""
        subject.deleted_at = time.monotonic()
        async with self._slots:
            await self._cluster.client.delete(
                "pods", subject.name, self._namespace, grace_seconds=0 if outright else None
            )

    async def _stay_registered(self, subject: Subject) -> None:
        while not await self._register(subject):  # noqa: ASYNC110 - no node is up: nothing to wait for but time
            await asyncio.sleep(1)
        subject.registered.set()
        while True:
            await asyncio.sleep(self._renewal_seconds)
            if subject.ended:
                return
            known = await self._at_first_node(lambda node: node.heartbeat(subject.app, subject.instance_id))
            if known is False and not subject.ended:
                await self._register(subject)

    async def _register(self, subject: Subject) -> bool:
        async def register(node: RegistryClient) -> bool:
            await node.register(
                subject.app,
                subject.instance_id,
                ip=subject.ip,
                renewal_seconds=self._renewal_seconds,
                lease_seconds=self._lease_seconds,
            )
            return True

        return await self._at_first_node(register) is True

    async def _at_first_node(self, call: Callable[[RegistryClient], Awaitable[bool]]) -> bool | None:
        for node in self.nodes:
            with suppress(*UNREACHABLE):
                async with asyncio.timeout(PATIENCE):
                    return await call(node)
        return None
