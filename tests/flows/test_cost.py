"""What one drain costs the registry and the broker: docs/scale.md computes with these numbers."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.virtual_time import in_virtual_time
from tests.flows.world import APP, ID, World, sleep_until
from tests.stack.waiting import until

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
    [row] = re.findall(rf"^\| {re.escape(settings)} \|(.+)\|$", PAGE, re.MULTILINE) or ["none"]
    assert [int(cell) for cell in row.split("|") if cell.strip().isdigit()] == counted
