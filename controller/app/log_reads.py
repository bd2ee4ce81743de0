"""What ``ops`` reads from the event log because somebody asks: few at a time, and one reading for many who ask.

Each reading takes two connections to the broker, and decodes as much of the log as is asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from controller.domain.bounded_map import BoundedMap
from controller.domain.drain_record import DrainRecord
from controller.domain.selection import Selection
from controller.ops.auth.refusals import OverloadedError

MAX_READINGS = 1
"""Lists of old drains that are read at a time: one may hold tens of thousands of them."""
MAX_WAITING_READERS = 8
"""Who may wait for a list of old drains."""
READING_TIMEOUT = 20.0
"""Seconds to wait for the turn: less than a request may take."""
MAX_SOUGHT = 100
"""Drains that are looked for at a time."""
MAX_FOUND = 200
"""Drains that are remembered, and those that are nowhere."""
FOUND_LASTS = 5.0
"""Seconds."""

Find = Callable[[Collection[str]], Awaitable[dict[str, DrainRecord]]]
"""Reads single drains from the log: those of these ids that are there."""
ReadOlder = Callable[[Selection], Awaitable[list[DrainRecord]]]


class LogReads:
    """Reads the log for all who ask."""

    def __init__(self, find: Find, read: ReadOlder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._read = read
        self._clock = clock
        self._turn = asyncio.Semaphore(MAX_READINGS)
        self._waiting = 0
        self._sought: dict[str, asyncio.Future[DrainRecord | None]] = {}
        self._found: BoundedMap[str, tuple[float, DrainRecord | None]] = BoundedMap(MAX_FOUND)
        self._finding: asyncio.Task[None] | None = None

    async def older(self, selection: Selection) -> list[DrainRecord]:
        """Return the drains that the filters choose; OverloadedError where too many wait for such a list."""
        if self._waiting >= MAX_WAITING_READERS:
            raise OverloadedError("too many read old drains at the moment: try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(READING_TIMEOUT):
                await self._turn.acquire()
        except TimeoutError:
            raise OverloadedError("others read old drains at the moment, and that takes long: try again") from None
        finally:
            self._waiting -= 1
        try:
            return await self._read(selection)
        finally:
            self._turn.release()

    async def find(self, drain_id: str) -> DrainRecord | None:
        """Return one drain; with the next reading, which is for all who ask until it begins."""
        until, record = self._found.get(drain_id, (0.0, None))
        if self._clock() < until:
            return record
        if drain_id not in self._sought:
            if len(self._sought) >= MAX_SOUGHT:
                raise OverloadedError("too many old drains are looked for at the moment: try again")
            self._sought[drain_id] = asyncio.get_running_loop().create_future()
        if self._finding is None:
            self._finding = asyncio.create_task(self._find_all())
        return await asyncio.shield(self._sought[drain_id])

    async def close(self) -> None:
        """Stop looking."""
        if self._finding is not None:
            self._finding.cancel()
            with suppress(asyncio.CancelledError):
                await self._finding

    async def _find_all(self) -> None:
        try:
            while self._sought:
                await self._find_sought()
        finally:
            self._finding = None

    async def _find_sought(self) -> None:
        """Look for everything that is sought now. What is asked for meanwhile is for the next reading."""
        sought, self._sought = self._sought, {}
        try:
            found = await self._find(sought)
        except asyncio.CancelledError:
            for future in sought.values():
                future.cancel()
            raise
        except Exception as error:  # it is theirs who asked
            for future in sought.values():
                future.set_exception(error)
                future.exception()  # nobody else looks at it where all who asked have gone
            return
        for drain_id, future in sought.items():
            record = found.get(drain_id)
            self._found.put(drain_id, (self._clock() + FOUND_LASTS, record))
            future.set_result(record)
