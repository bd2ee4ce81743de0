"""Executing a replay's plan: send what would be drained, at a rate; then wait for what comes of each.

A command is sent first and told in the log afterwards: who is stopped in between sends that one again, which changes
nothing; the other order would leave it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.domain.commands import Command
from controller.domain.events import Event, Outcome, tell
from controller.domain.history import History
from controller.domain.replay import Item, is_settled
from controller.domain.story import Story
from controller.flows.ports import Clock, Outbox

LOOK = 0.2
"""Seconds between two looks at what has come of it."""


@dataclass(slots=True, kw_only=True)
class Came:
    """How far a replay has come."""

    sent: list[Item] = field(default_factory=list)
    settled: dict[str, Story] = field(default_factory=dict)
    """What came of each drain, by id."""

    @property
    def open(self) -> list[Item]:
        """What was sent and has come to nothing yet."""
        return [item for item in self.sent if item.drain_id not in self.settled]


class Replay:
    """One run of a plan. ``note`` reads the event log."""

    def __init__(self, *, outbox: Outbox, clock: Clock, requested_at: datetime) -> None:
        self._outbox = outbox
        self._clock = clock
        self._requested_at = requested_at
        self._since = History(limit=1_000_000)
        self.came = Came()

    def note(self, event: Event) -> None:
        """Take the next event of the log; only what comes of this run counts."""
        if event.requested_at == self._requested_at:
            self._since.note(event)

    async def send(
        self,
        items: Sequence[Item],
        *,
        a_second: float,
        sent: Callable[[Item], Awaitable[object]],
    ) -> None:
        """Send the commands, evenly. Cancelled, it ends between two of them. BrokerError when one is not confirmed."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number, item in enumerate(items):
            command = item.command
            assert command is not None
            await asyncio.sleep(max(0.0, begun + number / a_second - loop.time()))
            sending = asyncio.ensure_future(self._send(item, command, sent))
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                await sending  # half of it would be sent and not told
                raise

    async def _send(self, item: Item, command: Command, sent: Callable[[Item], Awaitable[object]]) -> None:
        await self._outbox.send(command)
        self.came.sent.append(item)
        await self._outbox.record(tell(command, Outcome.requested, command.observed_at, published_at=self._clock()))
        await sent(item)

    async def wait(self, patience: timedelta, *, told: Callable[[Came], object]) -> None:
        """Wait until everything that was sent has come to something, or for this long after the last news."""
        loop = asyncio.get_running_loop()
        last_news, before = loop.time(), -1
        while True:
            self._look()
            told(self.came)
            if not self.came.open:
                return
            if len(self.came.settled) != before:
                last_news, before = loop.time(), len(self.came.settled)
            if loop.time() - last_news > patience.total_seconds():
                return
            await asyncio.sleep(LOOK)

    def _look(self) -> None:
        for item in self.came.open:
            story = self._since.get(item.drain_id)
            if story is not None and is_settled(story, item.instances):
                self.came.settled[item.drain_id] = story

    def story(self, drain_id: str) -> Story | None:
        """What was told of a drain since it was asked for."""
        return self._since.get(drain_id)
