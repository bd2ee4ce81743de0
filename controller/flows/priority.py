"""What must be quick goes first: after a mass deletion, every instance out before the first proof is written.

A drain is urgent until its OUT_OF_SERVICE has been sent. Everything that follows (reading back, events, delays) waits
for a lull first. A waiting message is not acknowledged, so the broker's prefetch bounds how much can be urgent, and the
lull comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MAX_WAIT = 5.0
"""Seconds after which the less urgent goes on all the same."""


class PriorityGate:
    """Counts what is urgent on one side of this process."""

    def __init__(self) -> None:
        self._others: tuple[PriorityGate, ...] = ()
        self._urgent = 0
        self._wait_until_idle = asyncio.Event()
        self._wait_until_idle.set()

    def yield_to(self, *others: PriorityGate) -> None:
        """Have this side's less urgent work wait for these sides' urgent work too."""
        self._others = others

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Be urgent for as long as the context lasts."""
        self._urgent += 1
        self._wait_until_idle.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._wait_until_idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until nothing is urgent, at most MAX_WAIT."""
        if any(side._urgent for side in (self, *self._others)):
            with suppress(TimeoutError):
                async with asyncio.timeout(MAX_WAIT):
                    for side in (self, *self._others):
                        await side._wait_until_idle.wait()
