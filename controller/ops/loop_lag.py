"""How late the event loop is: whatever keeps it, keeps every drain and every probe from its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL = 0.25
"""Seconds between two looks."""


async def observe_lag(observe: Callable[[float], None]) -> None:
    """Sleep again and again, for ever, and report by how many seconds each sleep was too long."""
    now = asyncio.get_running_loop().time
    while True:
        due_at = now() + INTERVAL
        await asyncio.sleep(INTERVAL)
        observe(max(0.0, now() - due_at))
