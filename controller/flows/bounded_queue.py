"""What waits, up to a bound: beyond it the oldest is dropped, and that is logged once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from loguru import logger

Entry = TypeVar("Entry")


class BoundedQueue(Generic[Entry]):
    """A queue that never holds anybody up."""

    def __init__(self, limit: int, *, what: str) -> None:
        """Make an empty one; ``what`` says to people what waits, and for whom."""
        self._limit = limit
        self._what = what
        self._entries: deque[Entry] = deque()
        self._some = asyncio.Event()
        self._dropping = False

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry) -> None:
        """Add it at the end."""
        if len(self._entries) >= self._limit:
            self._entries.popleft()
            if not self._dropping:
                self._dropping = True
                logger.bind(waiting=self._limit).warning(f"too many {self._what}; the oldest are dropped")
        self._entries.append(entry)
        self._some.set()

    async def first(self) -> Entry:
        """Wait for one, and give the oldest; it stays there."""
        while not self._entries:
            self._dropping = False
            self._some.clear()
            await self._some.wait()
        return self._entries[0]

    async def take(self) -> Entry:
        """Wait for one, and take the oldest away."""
        entry = await self.first()
        self.done(entry)
        return entry

    def holds(self, entry: Entry) -> bool:
        """Whether this one is still the oldest: it may have been dropped."""
        return bool(self._entries) and self._entries[0] is entry

    def done(self, entry: Entry) -> None:
        """Take it away, if it is still the oldest."""
        if self.holds(entry):
            self._entries.popleft()
