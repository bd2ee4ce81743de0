"""Waiting for a condition instead of for a time.

Everything here waits for what it needs to see and says what it waited for when it did not come; the only fixed thing
is the interval between two looks.
"""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any


class NeverHappenedError(AssertionError):
    """The condition did not come true in time: a failed assertion to a test."""


async def until(look: Callable[[], object], what: str, *, timeout: float = 30, interval: float = 0.1) -> Any:
    """Look again and again, awaiting the answer if need be, until it is truthy, and return it."""
    loop = asyncio.get_running_loop()
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
