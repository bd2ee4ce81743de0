"""Executing a replay's plan: send what would be drained, at a rate; then wait for what comes of each.

A command is sent first and told in the log afterwards: who is stopped in between sends that one again, which changes
nothing; the other order would leave it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome, make_event
from controller.domain.replay_plan import ReplayItem, is_settled
from controller.flows.ports import Clock, Outbox

POLL_INTERVAL = 0.2
"""Seconds between two looks at what has come of it."""
MAX_UNCONFIRMED = 32
"""Commands whose confirmation is waited for at a time: one after the other would be as slow as the broker is far."""
MAX_CATCH_UP = 0.25
"""Seconds of a delay that are made up for; what is more does not become a burst."""


@dataclass(slots=True, kw_only=True)
class ReplayProgress:
    """How far a replay has come."""

    sent: list[ReplayItem] = field(default_factory=list)
    settled: dict[str, DrainRecord] = field(default_factory=dict)
    """What came of each drain, by id."""

    @property
    def open(self) -> list[ReplayItem]:
        """What was sent and has come to nothing yet."""
        return [item for item in self.sent if item.drain_id not in self.settled]


class Replayer:
    """One run of a plan. ``note`` reads the event log."""

    def __init__(self, *, outbox: Outbox, clock: Clock, requested_at: datetime) -> None:
        self._outbox = outbox
        self._clock = clock
        self._requested_at = requested_at
        self._since = DrainIndex(limit=1_000_000)
        self._sent: dict[str, ReplayItem] = {}
        self.came = ReplayProgress()

    def apply(self, event: Event) -> None:
        """Take the next event of the log; only what comes of this run counts."""
        if event.requested_at == self._requested_at and self._since.apply(event) is not None:
            self._look(event.drain_id)

    async def send(
        self,
        items: Sequence[ReplayItem],
        *,
        a_second: float,
        sent: Callable[[ReplayItem], Awaitable[object]],
    ) -> None:
        """Send the commands, evenly. Cancelled, it ends between two of them. BrokerError when one is not confirmed."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        try:
            for item in items:
                await asyncio.sleep(max(0.0, next_at - loop.time()))
                next_at = max(next_at, loop.time() - MAX_CATCH_UP) + 1 / a_second
                if len(under_way) >= MAX_UNCONFIRMED:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for done in [one for one in under_way if one.done()]:
                    under_way.remove(done)
                    done.result()
                under_way.add(asyncio.create_task(self._send(item, sent), name=f"send {item.drain_id}"))
        finally:
            # Half of one would be sent and not told.
            await _all_done(under_way)
            troubles = [done.exception() for done in under_way]
        for trouble in troubles:
            if trouble is not None:
                raise trouble

    async def _send(self, item: ReplayItem, sent: Callable[[ReplayItem], Awaitable[object]]) -> None:
        command = item.command
        assert command is not None
        await self._outbox.send(command)
        self.came.sent.append(item)
        self._sent[item.drain_id] = item
        self._look(item.drain_id)
        await self._outbox.record(
            make_event(command, Outcome.requested, command.observed_at, published_at=self._clock())
        )
        await sent(item)

    async def wait(self, patience: timedelta, *, told: Callable[[ReplayProgress], object]) -> None:
        """Wait until everything that was sent has come to something, or for this long after the last news."""
        loop = asyncio.get_running_loop()
        last_news, before = loop.time(), -1
        while True:
            told(self.came)
            if len(self.came.settled) == len(self._sent):
                return
            if len(self.came.settled) != before:
                last_news, before = loop.time(), len(self.came.settled)
            if loop.time() - last_news > patience.total_seconds():
                return
            await asyncio.sleep(POLL_INTERVAL)

    def _look(self, drain_id: str) -> None:
        item, record = self._sent.get(drain_id), self._since.get(drain_id)
        if item is not None and record is not None and is_settled(record, item.instances):
            self.came.settled[drain_id] = record

    def record(self, drain_id: str) -> DrainRecord | None:
        """What was told of a drain since it was asked for."""
        return self._since.get(drain_id)


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
