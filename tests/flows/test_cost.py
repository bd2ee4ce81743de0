"""What one drain costs the registry and the broker: docs/scale.md computes with these numbers."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.domain.events import make_gone_event
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.crowd import ask_to_go, name_of, register, requests_about
from tests.flows.world import APP, ID, World, sleep_until
from tests.stack.waiting import until
from tests.unit.building import a_command, a_pod

LEASE_ENDS_AFTER = 120
"""Seconds from the last heartbeat: a lease of 90 s, and half a minute until a stock node looks."""
PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
CASES: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "the defaults, and no room to wait": {"keeps_waiting": False},
    "`retention: 1m`": {"retention": timedelta(minutes=1)},
    "`retention: 0s`": {"retention": timedelta(0)},
    "`remove: false`": {"remove": False},
}


@pytest.mark.parametrize("settings", CASES)
@in_virtual_time
async def test_a_drain_that_goes_well_costs_what_the_page_states(settings: str) -> None:
    async with World(**CASES[settings]) as world:
        app = await world.process()
        await world.send()
        await sleep_until(25)
        app.die()
        await world.end()
        if not world.policy.remove:
            await sleep_until(25 + LEASE_ENDS_AFTER)
            await world.nodes[0].delete(APP, ID)
        await until(lambda: world.broker.idle, "the drain over", timeout=3600, interval=1)
    asked = [[request for request in node.requests if request != "GET apps"] for node in world.nodes]
    writes = sum(not request.startswith("GET ") for request in asked[0])
    assert len(asked[0]) == len(asked[1]), "no node is spared"
    # A delay is waited for in one queue for each bit of its seconds; then the message is back in the region's queue.
    hops = sum(delay.bit_count() for delay in world.broker.delays)
    delivered = 1 + world.broker.proceeded + len(world.broker.delays)
    counted = [len(asked[0]), writes, delivered, delivered + hops, len(world.broker.events)]
    assert counted == row_of(settings)


@in_virtual_time
async def test_of_a_hundred_drains_at_a_time_each_costs_what_the_page_states() -> None:
    numbers = range(100)
    async with World() as world:
        processes = await register(world, numbers)
        await asyncio.sleep(1)
        await ask_to_go(world, numbers, grace=30)
        await sleep_until(26)
        for number, process in enumerate(processes):
            process.die()
            going = a_command(a_pod(f"uid-{number}", name=name_of(number)))
            await world.broker.record(make_gone_event(going, virtual_clock(), virtual_clock(), proved=True))
        await until(lambda: world.broker.idle, "the drains over", timeout=3600, interval=1)
    asked = requests_about(world, numbers)
    writes = sum(not request.startswith("GET ") for request in asked)
    delivered = len(numbers) + world.broker.proceeded
    counted = [len(asked), writes, delivered, delivered, len(world.broker.events)]
    assert not world.broker.delays
    assert [round(count / len(numbers)) for count in counted] == row_of("the defaults, 100 at a time")


def row_of(settings: str) -> list[int]:
    """Return the page's figures."""
    [row] = re.findall(rf"^\| {re.escape(settings)} \|(.+)\|$", PAGE, re.MULTILINE) or ["none"]
    return [int(cell) for cell in row.split("|") if cell.strip().isdigit()]
