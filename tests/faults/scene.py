"""One case's stage: the shared servers, made whole, with a region, a namespace and a population of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.event_log import Told, reason_of
from tests.faults.audit import Audit, complaints, unended
from tests.faults.fleet import Fleet, fleet
from tests.faults.network import Network
from tests.faults.population import Population, Subject
from tests.faults.result import Row
from tests.faults.sampling import Sampler
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq

OUT_WITHIN = 60.0
"""Seconds after healing that a case waits for the last instance to be out. The promise is 30: the table tells."""
ENDED_WITHIN = 120.0
"""Seconds after healing for every drain to have its end: 'not registered' alone takes 35."""
STAYS_FOR = 4.0
"""Seconds that it must stay so: longer than replication, and than a client's renewal."""


@dataclass
class Servers:
    """What all cases share."""

    cluster: Cluster
    broker: RabbitMq
    eureka: EurekaNodes
    network: Network
    audit: Audit

    async def make_whole(self) -> None:
        """Whatever an earlier case left: everything runs, and nothing is in the way."""
        self.broker.resume()
        self.cluster.api.apiserver.resume()
        for node in self.eureka.nodes:
            node.resume()
        for process in (self.cluster.api.etcd, self.cluster.api.apiserver, self.cluster.api.controller_manager):
            if not process.running:
                await process.start()
        if not self.broker.server.running:
            await self.broker.start()
        await asyncio.gather(*(node.start() for node in self.eureka.nodes if not node.running))
        await self.network.heal()


@dataclass
class Scene:
    """What a fault may break, and what the check looks at."""

    servers: Servers
    fleet: Fleet
    population: Population
    sampler: Sampler

    @property
    def dying(self) -> list[Subject]:
        return self.population.dying

    async def all_out(self, *, timeout: float = OUT_WITHIN) -> bool:
        """Wait until every dying instance is out at every node."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if all(self._out_since(subject, subject.deleted_at or 0.0) is not None for subject in self.dying):
                return True
            await asyncio.sleep(0.1)
        return False

    async def judge(self, row: Row, healed_at: float) -> None:
        """Watch what comes of it, and fill in the row."""
        await self._wait_for_the_end(healed_at)
        settled = []
        for subject in self.dying:
            begin = max(healed_at, subject.deleted_at or 0.0)
            course = self.sampler.course(subject)
            since = self._out_since(subject, begin)
            if since is None or since - begin > OUT_WITHIN:
                row.lost += 1
                last = course.samples[-1] if course.samples else "nothing seen"
                row.troubles.append(f"{subject.name} ({subject.instance_id}) is not out of service: {last}")
                continue
            settled.append(max(0.0, since - begin))
            if again := course.came_back(begin):
                row.back += 1
                row.troubles.append(f"{subject.name} ({subject.instance_id}) served again: {again[0]}")
        for subject in self.population.living:
            if harm := self.sampler.course(subject).harm:
                row.harmed += 1
                row.troubles.append(f"{subject.instance_id} lives, and {len(harm)} samples show harm, first {harm[0]}")
        misaccounted = complaints(self._events(), self.dying, self.population.living)
        row.drains, row.accounts = len(self.dying), len(misaccounted)
        row.troubles += misaccounted
        row.settled = None if row.lost else max(settled, default=0.0)

    async def _wait_for_the_end(self, healed_at: float) -> None:
        done_since: float | None = None
        while (now := time.monotonic()) < healed_at + ENDED_WITHIN:
            out = all(self._out_since(subject, healed_at) is not None for subject in self.dying)
            if not out and now > healed_at + OUT_WITHIN + 1:
                return
            if not out or unended(self._events(), self.dying):
                done_since = None
            elif done_since is None:
                done_since = now
            elif now - done_since > STAYS_FOR:
                return
            await asyncio.sleep(0.2)

    def _out_since(self, subject: Subject, begin: float) -> float | None:
        return self.sampler.course(subject).is_out_since(begin)

    def _events(self) -> list[Told]:
        return self.servers.audit.of_region(self.fleet.region)

    def record(self, names: Iterable[str] = ()) -> str:
        """What the log says of these pods, for whoever looks for the cause."""
        chosen = set(names)
        lines = []
        for event in self._events():
            if not chosen or event["pod"] in chosen:
                keys = ("at", "pod", "drain_id", "outcome", "instance_id", "attempt")
                lines.append("  ".join([*(str(event[key]) for key in keys), reason_of(event)]))
        return "\n".join(lines)


@asynccontextmanager
async def scene(
    folder: Path, servers: Servers, namespace: str, *, watches: int = 1, workers: int = 1, renewal_seconds: int = 1
) -> AsyncIterator[Scene]:
    """Everything runs; nobody is there yet."""
    await servers.make_whole()
    population = Population(servers.cluster, servers.eureka, namespace, renewal_seconds=renewal_seconds)
    sampler = Sampler(servers.eureka, population.in_turn)
    try:
        async with (
            fleet(folder, servers.cluster, servers.network, namespace, watches=watches, workers=workers) as running,
            sampler.running(),
        ):
            yield Scene(servers, running, population, sampler)
    finally:
        await population.close()
