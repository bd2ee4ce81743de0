"""The event log as a worker sees it: what it says of drains, and what the worker adds to it."""

from __future__ import annotations

import asyncio

from controller.domain.events import LogEntry
from controller.domain.ledger import Ledger
from controller.flows.ports import EventLog
from controller.flows.publisher import Publisher

LOG_TIMEOUT = 5.0
"""Seconds. A log is read in a moment after a start."""


async def wait_for_log(log: EventLog) -> bool:
    """Wait for the log to be read, for as long as anybody may be kept waiting by it; return whether it is."""
    try:
        async with asyncio.timeout(LOG_TIMEOUT):
            await log.wait_until_read()
    except TimeoutError:
        return False
    return True


class DrainLog:
    """Reads and writes. ``ledger`` is kept up to date by whoever follows the log."""

    def __init__(self, *, ledger: Ledger, follower: EventLog, publisher: Publisher) -> None:
        self.ledger = ledger
        self._follower = follower
        self._publisher = publisher

    @property
    def caught_up(self) -> bool:
        """Whether everything that was written before this process began has been read."""
        return self._follower.caught_up

    async def wait(self) -> bool:
        """Wait for the log to be read, but not for ever: a broker that keeps it from us must not keep up a drain."""
        return await wait_for_log(self._follower)

    async def record(self, entry: LogEntry) -> None:
        """Append an entry; BrokerError when it was not confirmed."""
        await self._publisher.record(entry)
        self.ledger.apply(entry)

    def count_retry(self, region: str) -> None:
        """Count a step that goes back through the delay queues because something stands in its way."""
        self._publisher.count_retry(region)
