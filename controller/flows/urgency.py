"""What must be quick goes first: after a mass deletion, every instance out before the first proof is written.

A drain is urgent until its OUT_OF_SERVICE has been sent. Everything that follows (reading back, events, delays) waits
for a lull first. A waiting message is not acknowledged, so the broker's prefetch bounds how much can be urgent, and the
lull comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LONGEST_WAIT = 5.0
"""Seconds after which the less urgent goes on all the same."""


class Urgency:
    """Counts what is urgent in this process."""

    def __init__(self) -> None:
        self._urgent = 0
        self._lull = asyncio.Event()
        self._lull.set()

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Be urgent for as long as the context lasts."""
        self._urgent += 1
        self._lull.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._lull.set()

    async def lull(self) -> None:
        """Wait until nothing is urgent, at most LONGEST_WAIT."""
        if self._urgent:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT):
                    await self._lull.wait()
