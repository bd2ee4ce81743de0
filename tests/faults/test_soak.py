"""All attacks at once, at random, for a while: nothing ends, nothing swells, and pods are drained as ever."""

import asyncio
import math
import os
import random
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.contract.silly_server import SillyServer
from tests.e2e.product import product
from tests.faults.attacks import ATTACKS, HOSTILE_REGION, Aim, hostile_node
from tests.faults.population import Population, Subject
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.usage import memory_bytes

LONG = os.environ.get("FAULTS") == "all"
DRAINS = int(os.environ.get("SOAK_DRAINS", "500"))
LASTS = int(os.environ.get("SOAK_SECONDS", "1800"))
"""Seconds."""
SEED = int(os.environ.get("SOAK_SEED", "1"))
AT_ONCE = 4
"""Attacks beside each other, each by an attacker of its own."""
CACHED_FOR = 32.0
"""Seconds until what registers is in a node's list for sure."""
LIMIT = 512 * 1024 * 1024
"""The container's memory in manifests/."""
TOKENS = {"ops.viewer_token": "v" * 32, "ops.operator_token": "o" * 32}
ROLES = (("watch",), ("work", "--region", "REGION", "--region", HOSTILE_REGION), ("ops",))


@dataclass
class Health:
    """What one process showed, looked at once a second."""

    process: ControllerProcess
    slowest: float = 0.0
    missed: int = 0
    memory: list[int] = field(default_factory=list)
    """VmRSS in bytes."""

    @property
    def peak(self) -> int:
        return memory_bytes(self.process.pid, "VmHWM")

    async def watch(self) -> None:
        """For ever, as a kubelet does."""
        while True:
            begun = time.monotonic()
            try:
                async with (
                    aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                    session.get(self.process.url + "/healthz") as answer,
                ):
                    assert answer.status == 200
            except (aiohttp.ClientError, TimeoutError, OSError, AssertionError):
                self.missed += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.memory.append(memory_bytes(self.process.pid))
            await asyncio.sleep(1)

    def line(self) -> str:
        """For people."""
        quarter = max(1, len(self.memory) // 4)
        early, late = max(self.memory[quarter : 2 * quarter]), max(self.memory[-quarter:])
        return (
            f"{' '.join(self.process.roles[:1]):6} peak {self.peak >> 20} MiB, rss {early >> 20} -> {late >> 20} MiB,"
            f" slowest /healthz {self.slowest:.2f} s, {self.missed} missed"
        )


@pytest.mark.skipif(not LONG, reason="half an hour: with FAULTS=all")
@pytest.mark.timeout(LASTS + 600)
async def test_no_attack_stops_it_blinds_it_or_makes_it_forget(
    tmp_path: Path,
    cluster: Cluster,
    broker: RabbitMq,
    eureka_pair: EurekaNodes,
    namespace: str,
) -> None:
    async with siege(tmp_path, cluster, broker, eureka_pair, namespace) as (population, healths):
        took = await drain_one_after_the_other(population)
        for health in healths:
            assert health.process.running
        report = [health.line() for health in healths]
        report.append(f"{len(took)} drains: median {sorted(took)[len(took) // 2]:.2f} s, slowest {max(took):.2f} s")
        print("\n".join(report))
        assert [health.peak for health in healths if health.peak > LIMIT * 0.6] == [], report
        assert [health.missed for health in healths] == [0] * len(healths), report
        assert sum(seconds > 5 for seconds in took) == 0, report


@asynccontextmanager
async def siege(
    folder: Path, cluster: Cluster, broker: RabbitMq, eureka: EurekaNodes, namespace: str
) -> AsyncIterator[tuple[Population, list[Health]]]:
    """Everything runs, and is attacked until the end."""
    async with AsyncExitStack() as ended:
        hostile = await ended.enter_async_context(SillyServer(hostile_node()))
        settings = {**TOKENS, f"regions.{HOSTILE_REGION}.nodes": hostile.url, "log.level": "INFO"}
        running = await ended.enter_async_context(
            product(folder, cluster, broker, eureka, namespace, roles=ROLES, settings=settings)
        )
        population = Population(cluster, eureka, namespace, lease_seconds=3600)
        ended.push_async_callback(population.close)
        aim = Aim(
            cluster=cluster,
            namespace=namespace,
            broker_url=broker.url,
            region=running.region,
            urls=[process.url for process in running.processes],
            ops_url=running.processes[-1].url,
            viewer_token=TOKENS["ops.viewer_token"],
        )
        healths = [Health(process) for process in running.processes]
        chance = random.Random(SEED)
        tasks = [asyncio.create_task(health.watch()) for health in healths]
        tasks += [asyncio.create_task(_attack(aim, chance)) for _ in range(AT_ONCE)]
        try:
            yield population, healths
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _attack(aim: Aim, chance: random.Random) -> None:
    while True:
        chosen = chance.choice(ATTACKS)
        try:
            await chosen(aim)
        except Exception as error:  # an attacker who fails tries something else
            print(f"{chosen.__name__}: {error!r}"[:300])
            await asyncio.sleep(1)


async def drain_one_after_the_other(population: Population) -> list[float]:
    """Spread over the time; return how long each was still given to callers, in seconds after its deletion.

    A pod goes when callers can know it: a node's list is as old as its cache.
    """
    took: list[float] = []
    known: deque[tuple[float, Subject]] = deque()

    async def add() -> None:
        subject = await population.add(f"good-{secrets.token_hex(4)}", "good", lingers=8)
        known.append((time.monotonic() + CACHED_FOR, subject))

    apart = LASTS / DRAINS
    for _ in range(1 + math.ceil(CACHED_FOR / apart)):
        await add()
    begun = time.monotonic() + CACHED_FOR
    for number in range(DRAINS):
        known_at, subject = known.popleft()
        await asyncio.sleep(max(known_at, begun + apart * number) - time.monotonic())
        await population.delete(subject)
        took.append(await _until_out(population, subject))
        await add()
    return took


async def _until_out(population: Population, subject: Subject, timeout: float = 60) -> float:
    assert subject.deleted_at is not None
    while (now := time.monotonic()) < subject.deleted_at + timeout:
        shown = await asyncio.gather(*(node.get(subject.app, subject.instance_id) for node in population.nodes))
        if all(one is None or one["status"] == "OUT_OF_SERVICE" for one in shown):
            return now - subject.deleted_at
        await asyncio.sleep(0.05)
    return timeout
