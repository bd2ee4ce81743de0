"""Waiting for a condition instead of for a time.

Everything here waits for what it needs to see and says what it waited for when it did not come; the only fixed thing
is the interval between two looks.
"""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

PATIENCE = 3
"""How many times longer than a test says it is waited: tests name the times of a quiet machine."""


class NeverHappenedError(AssertionError):
    """The condition did not come true in time: a failed assertion to a test."""


async def until(look: Callable[[], object], what: str, *, timeout: float = 30, interval: float = 0.1) -> Any:
    """Look again and again, awaiting the answer if need be, until it is truthy, and return it."""
    loop, timeout = asyncio.get_running_loop(), PATIENCE * timeout
    deadline = loop.time() + timeout
    while True:
        seen = look()
        if isawaitable(seen):
            seen = await seen
        if seen:
            return seen
        if loop.time() >= deadline:
            raise NeverHappenedError(f"waited {timeout:g} s in vain for: {what} (last seen: {seen!r})")
        await asyncio.sleep(interval)
