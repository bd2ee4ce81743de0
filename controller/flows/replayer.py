"""Execute a replay's plan: send what would be drained, at a rate; then wait for what each drain comes to.

A run that is stopped in between can be repeated: what has been sent already changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, LogEntry
from controller.domain.replay_plan import ReplayItem, is_settled
from controller.flows.publisher import Publisher

POLL_INTERVAL = 0.2
"""Seconds between two looks at the outcomes."""
MAX_UNCONFIRMED = 32
"""Commands whose confirmation is waited for at a time: one after the other would be as slow as the broker is far."""
MAX_CATCH_UP = 0.25
"""Seconds of a delay that are made up for; what is more does not become a burst."""


@dataclass(slots=True, kw_only=True)
class ReplayProgress:
    """How far a replay has come."""

    sent: list[ReplayItem] = field(default_factory=list)
    settled: dict[str, DrainRecord] = field(default_factory=dict)
    """What each drain came to, by id."""

    @property
    def open(self) -> list[ReplayItem]:
        """What was sent and has no outcome yet."""
        return [item for item in self.sent if item.drain_id not in self.settled]


class Replayer:
    """One run of a plan. ``apply`` reads the event log."""

    def __init__(self, *, publisher: Publisher, requested_at: datetime) -> None:
        self._publisher = publisher
        self._requested_at = requested_at
        self._index = DrainIndex(limit=1_000_000)
        self._sent: dict[str, ReplayItem] = {}
        self.progress = ReplayProgress()

    def apply(self, event: LogEntry) -> None:
        """Take the next entry of the log; only answers to this run count."""
        if (
            isinstance(event, Event)
            and event.requested_at == self._requested_at
            and self._index.apply(event) is not None
        ):
            self._settle(event.drain_id)

    async def send(
        self,
        items: Sequence[ReplayItem],
        *,
        per_second: float,
        sent: Callable[[ReplayItem], Awaitable[object]] | None = None,
    ) -> None:
        """Send the commands, evenly. Cancelled, it ends between two of them. BrokerError when one is not confirmed."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        try:
            for item in items:
                await asyncio.sleep(max(0.0, next_at - loop.time()))
                next_at = max(next_at, loop.time() - MAX_CATCH_UP) + 1 / per_second
                if len(under_way) >= MAX_UNCONFIRMED:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for done in [one for one in under_way if one.done()]:
                    under_way.remove(done)
                    done.result()
                under_way.add(asyncio.create_task(self._send(item, sent), name=f"send {item.drain_id}"))
        finally:
            # One that is cancelled halfway would be sent and not recorded.
            await _all_done(under_way)
            troubles = [done.exception() for done in under_way]
        for trouble in troubles:
            if trouble is not None:
                raise trouble

    async def _send(self, item: ReplayItem, sent: Callable[[ReplayItem], Awaitable[object]] | None) -> None:
        command = item.command
        assert command is not None
        await self._publisher.send(command)
        self.progress.sent.append(item)
        self._sent[item.drain_id] = item
        self._settle(item.drain_id)
        if sent is not None:
            await sent(item)

    async def wait(self, timeout: timedelta, *, report: Callable[[ReplayProgress], object] = lambda _: None) -> None:
        """Wait until everything that was sent has an outcome, or for this long after the last news."""
        loop = asyncio.get_running_loop()
        last_news, before = loop.time(), -1
        while True:
            report(self.progress)
            if len(self.progress.settled) == len(self._sent):
                return
            if len(self.progress.settled) != before:
                last_news, before = loop.time(), len(self.progress.settled)
            if loop.time() - last_news > timeout.total_seconds():
                return
            await asyncio.sleep(POLL_INTERVAL)

    def _settle(self, drain_id: str) -> None:
        item, record = self._sent.get(drain_id), self._index.get(drain_id)
        if item is not None and record is not None and is_settled(record, item.instances):
            self.progress.settled[drain_id] = record

    def record_of(self, drain_id: str) -> DrainRecord | None:
        """Return what was recorded of a drain since it was asked for."""
        return self._index.get(drain_id)


async def _all_done(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for all of them, however often this is cancelled meanwhile."""
    cancelled = False
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
