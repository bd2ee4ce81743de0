"""Each fault at each of three moments; after it is healed, nothing is lost, nobody is harmed, and the log is right."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS, Fault
from tests.faults.population import Population
from tests.faults.result import Row
from tests.faults.scene import Scene, Servers, scene


class Moment(StrEnum):
    """When a fault begins."""

    before = "before the deletions"
    after = "50 ms after the deletions"
    retention = "during the retention"


RETENTION_LASTS = 8.0
"""Seconds that a lasting fault covers at least when it begins during the retention: the DELETE falls into it."""
ALWAYS = {
    ("watch killed", Moment.before),
    ("RabbitMQ killed", Moment.after),
    ("command queue missing for 3 s", Moment.before),
    ("one Eureka node says HTML, 200", Moment.before),
}
"""What `make test` runs: the most telling ones, in about two minutes."""

CASES = [
    pytest.param(fault, moment, id=f"{fault.name}, {moment}")
    for fault in FAULTS
    for moment in Moment
    if os.environ.get("FAULTS") == "all" or (fault.name, moment) in ALWAYS
]


class Town:
    """Those who die and those who live, in three apps."""

    def __init__(self, population: Population) -> None:
        self._population = population
        tag = secrets.token_hex(2)
        self._shop, self._desk, self._bank = (f"{app}-{tag}" for app in ("shop", "desk", "bank"))

    async def settle(self) -> None:
        """All of them, ready and registered."""
        add = self._population.add
        self._lingering, self._plain, self._outright, self._other, *_ = await asyncio.gather(
            add("lingering", self._shop, lingers=3),
            add("plain", self._desk),
            add("outright", self._shop),
            add("other-outright", self._bank),
            add("neighbour", self._shop),
            add("stranger", self._bank),
        )

    async def delete(self) -> None:
        """Two politely, one of them after its successor came, as in a rollout; two outright."""
        delete = self._population.delete
        await self._population.add("successor", self._desk, waits=False)
        await asyncio.gather(
            delete(self._lingering),
            delete(self._plain),
            delete(self._outright, outright=True),
            delete(self._other, outright=True),
        )


async def _play(stage: Scene, fault: Fault, moment: Moment) -> float:
    """Deletions and fault in the moment's order; returns when it was healed."""
    town = Town(stage.population)
    await town.settle()
    await stage.sampler.next_round()
    lasts = fault.lasts
    if moment is not Moment.before:
        await town.delete()
    if moment is Moment.after:
        await asyncio.sleep(0.05)
    if moment is Moment.retention:
        assert await stage.all_out(), "not out of service even before the fault"
        lasts = max(lasts, RETENTION_LASTS) if lasts else 0
    async with fault.breaking(stage):
        if moment is Moment.before:
            await town.delete()
        await asyncio.sleep(lasts)
    return time.monotonic()


@pytest.mark.faults
@pytest.mark.parametrize(("fault", "moment"), CASES)
async def test_nothing_is_lost_and_nobody_is_harmed(
    tmp_path: Path, servers: Servers, namespace: str, note: Callable[[Row], None], fault: Fault, moment: Moment
) -> None:
    begun = time.monotonic()
    row = Row(fault.name, moment)
    note(row)
    async with scene(tmp_path, servers, namespace, watches=fault.watches, workers=fault.workers) as stage:
        healed_at = await _play(stage, fault, moment)
        await stage.judge(row, healed_at)
    row.troubles += stage.fleet.complaints()
    row.took = time.monotonic() - begun
    assert row.good, "\n".join([*row.troubles, "", stage.record()])
