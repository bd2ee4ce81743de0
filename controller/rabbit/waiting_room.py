"""Messages that a worker keeps unacknowledged until their drain's next look, and what becomes of them when it may not.

The broker gives them to somebody else when their channel ends, unless their queue was deleted: then they are gone with
it, and what is here is all that there is. Which of the two it was is known when the link is up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from controller.bounds import MAX_WAITING_BYTES
from controller.rabbit.bounded_reading import ByteRoom

MAX_WAIT = timedelta(minutes=10)
"""That a message is kept for, all its waits together."""
CONSUMER_TIMEOUT = timedelta(minutes=30)
"""After which a broker takes back what is kept, and ends the channel: its default, and what ours are from RabbitMQ
3.11.15 on, however it is set otherwise."""
MAX_RETURNS = 10
"""How often a message may have come back from workers that died, or lost their link: one that comes back more often is
among the dead letters in the end, and so is published anew instead of being kept."""


class WaitEnd(Enum):
    """How a wait ended."""

    time_over = auto()
    """Its drain may be looked at, or is to be looked at sooner."""
    write_down = auto()
    """It is to be published as it is now, and kept no longer."""
    leave = auto()
    """The broker has it, and gives it to somebody else."""


class LeftError(Exception):
    """The message waited, and is the broker's again: nothing was under way."""


@dataclass
class _Channel:
    """What is decided about the messages of one channel."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    how: WaitEnd = WaitEnd.leave
    waiting: set[asyncio.Event] = field(default_factory=set)
    """Set for each message that waits, and for all of them at the end."""


class WaitingRoom:
    """One region's."""

    def __init__(self) -> None:
        self._room = ByteRoom(MAX_WAITING_BYTES)
        self._channel = _Channel()
        self._closed = False

    @contextmanager
    def place(self, message: AbstractIncomingMessage) -> Iterator[bool]:
        """Hold room for a message; False where there is none for it."""
        size, returns = len(message.body), message.headers.get("x-delivery-count", 0)
        may_wait = not self._closed and isinstance(returns, int) and returns <= MAX_RETURNS
        has_room = may_wait and self._room.take(size)
        try:
            yield has_room
        finally:
            if has_room:
                self._room.give(size)

    async def wait(
        self, message: AbstractIncomingMessage, after: timedelta, until: float, sooner: asyncio.Event
    ) -> WaitEnd:
        """Keep a message for so long, or until that is set; at most until that time of the loop."""
        channel, seconds = self._channel, after.total_seconds()
        if self._closed or asyncio.get_running_loop().time() + seconds > until:
            return WaitEnd.write_down
        channel.waiting.add(sooner)
        try:
            async with asyncio.timeout(seconds):
                await sooner.wait()
        except TimeoutError:
            pass
        finally:
            channel.waiting.discard(sooner)
        if not channel.ended.is_set() and is_ours(message):
            return WaitEnd.time_over
        await channel.ended.wait()
        return channel.how

    async def wait_for(self, message: AbstractIncomingMessage, wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for something while the message is ours; LeftError once its channel has ended, and another is there."""
        channel = self._channel
        if not is_ours(message):
            raise LeftError
        waiting, ended = asyncio.create_task(wait()), asyncio.create_task(channel.ended.wait())
        try:
            await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and not is_ours(message):
                raise LeftError
            await waiting  # nothing more is kept, and the channel still stands: it is waited for to the end
        finally:
            ended.cancel()
            waiting.cancel()

    def end_channel(self, how: WaitEnd) -> None:
        """Decide about what waits: its channel has ended."""
        ended, self._channel = self._channel, _Channel()
        ended.how = how
        ended.ended.set()
        for waiting in ended.waiting:
            waiting.set()

    def close(self) -> None:
        """Keep nothing any more: what waits is written down."""
        self._closed = True
        self.end_channel(WaitEnd.write_down)


def is_ours(message: AbstractIncomingMessage) -> bool:
    """Return whether the message can still be acknowledged."""
    try:
        return not message.channel.is_closed
    except ChannelInvalidStateError:  # a message does not even name a channel that has ended
        return False
