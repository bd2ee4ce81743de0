"""Hundreds of pods at a time, and what is promised of them."""

import asyncio
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.faults import rabbitmq_killed, watch_frozen
from tests.faults.fleet import Fleet
from tests.faults.population import Population, Subject
from tests.faults.result import Row
from tests.faults.scene import Scene, Servers, scene
from tests.stack.controller_process import ControllerProcess

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.environ.get("FAULTS") != "all", reason="minutes long: FAULTS=all"),
]
RENEWAL_SECONDS = 5
"""Hundreds of clients that renew each second would be a load test of the registry."""
Note = Callable[[Row], None]


async def _crowd(population: Population, count: int, *, lingers: int = 0) -> list[Subject]:
    """Those that are to die, beside two that live on: one of the same app, one of another."""
    app = f"crowd-{secrets.token_hex(2)}"
    await asyncio.gather(population.add("neighbour", app), population.add("stranger", f"other-{app}"))
    return await population.add_crowd(count, app, lingers=lingers)


async def _judge(row: Row, stage: Scene, begun: float, healed_at: float) -> None:
    await stage.judge(row, healed_at)
    await stage.fleet.stop()
    row.troubles += stage.fleet.complaints()
    row.took = time.monotonic() - begun
    assert row.good, "\n".join([*row.troubles[:20], "...", *row.troubles[-20:]])


@asynccontextmanager
async def _killing(fleet: Fleet, dice: random.Random) -> AsyncIterator[None]:
    """Every 2 s one of them, which is started again at once; at the end all run.

    A watch only while the other one is ready: what ends while no watch runs at all is not the watch's to find.
    """
    starting: dict[ControllerProcess, asyncio.Task[None]] = {}

    def runs(process: ControllerProcess) -> bool:
        return process not in starting or starting[process].done()

    async def kill() -> None:
        while True:
            await asyncio.sleep(2)
            watches = fleet.watches if all(runs(watch) for watch in fleet.watches) else []
            victims = [process for process in (*watches, *fleet.workers) if runs(process)]
            if victims:
                victim = dice.choice(victims)
                await victim.kill()
                starting[victim] = asyncio.create_task(victim.start())

    task = asyncio.create_task(kill())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*starting.values())


async def test_300_deletions_while_watches_and_workers_are_killed_lose_nothing(
    tmp_path: Path, servers: Servers, namespace: str, note: Note
) -> None:
    begun = time.monotonic()
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1_000_000))
    note(row := Row("300 deletions, a process killed every 2 s", f"seed {seed}"))
    async with scene(tmp_path, servers, namespace, watches=2, workers=2, renewal_seconds=RENEWAL_SECONDS) as stage:
        # They take their time to end, as servers do.
        crowd = await _crowd(stage.population, 300, lingers=10)
        async with _killing(stage.fleet, random.Random(seed)):
            for subject in crowd:
                await stage.population.delete(subject)
                await asyncio.sleep(0.08)
        await _judge(row, stage, begun, time.monotonic())


async def test_200_deletions_while_rabbitmq_is_down_are_drained_afterwards(
    tmp_path: Path, servers: Servers, namespace: str, note: Note
) -> None:
    begun = time.monotonic()
    note(row := Row("200 deletions, RabbitMQ down for 10 s", "before the deletions"))
    async with scene(tmp_path, servers, namespace, renewal_seconds=RENEWAL_SECONDS) as stage:
        crowd = await _crowd(stage.population, 200)
        async with rabbitmq_killed(stage):
            ends_at = time.monotonic() + 10
            # Every other one outright.
            await asyncio.gather(*(stage.population.delete(one, outright=bool(n % 2)) for n, one in enumerate(crowd)))
            await asyncio.sleep(max(0.0, ends_at - time.monotonic()))
        await _judge(row, stage, begun, time.monotonic())


async def test_50_deletions_behind_a_frozen_watch_and_a_compaction_are_found(
    tmp_path: Path, servers: Servers, namespace: str, note: Note
) -> None:
    begun = time.monotonic()
    note(row := Row("50 outright deletions, watch frozen, etcd compacted", "before the deletions"))
    async with scene(tmp_path, servers, namespace, renewal_seconds=RENEWAL_SECONDS) as stage:
        crowd = await _crowd(stage.population, 50)
        async with watch_frozen(stage):
            await asyncio.gather(*(stage.population.delete(one, outright=True) for one in crowd))
        await _judge(row, stage, begun, time.monotonic())
