"""Following a stream (the event log, the watches' positions) over plain AMQP from some time on.

A timestamp offset is a second coarse and starts at a chunk's border, so earlier events come too. Readers fold: an entry
that comes twice counts once. Messages are taken as aiormq hands them over: what aio-pika makes of each would cost a
fourth of the time that it takes to read a long log.

Trap: a stream that was deleted and declared anew takes an offset of the old one without a word, and says nothing until
it is longer than the old one was. So the entry that was read last is looked at again before it is gone on from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Underlay
from aiormq.abc import DeliveredMessage
from loguru import logger

from controller.bounds import MAX_READ_AHEAD
from controller.errors import MessageError, StreamMissingError
from controller.flows.ports import Clock
from controller.messages.groups import parts_of
from controller.rabbit.link import Link
from controller.rabbit.topology import count_messages, declare, streams
from controller.settings import BrokerSettings

ACKNOWLEDGE_EVERY = 12
"""A stream's acknowledgements are credit only: one for many, long before no more comes."""
QUIET_TIMEOUT = 0.25
"""Seconds without an entry after which a log is taken to be read: the broker shows where the newest chunk begins, at
the time that it last looked, and neither where it ends nor what is just being written."""
PROBE_TIMEOUT = 2.0
"""Seconds to wait for an event of a log that is not empty."""


class Dated(Protocol):
    """What streams hold."""

    @property
    def at(self) -> datetime:
        """When it was written."""
        ...


Entry = TypeVar("Entry", bound=Dated)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A message that was read, as far as it takes to know it again."""

    offset: int
    digest: int


class StreamFollower(Generic[Entry]):
    """Tells every entry since ``look_back`` before its start, and every new one, in order."""

    def __init__(
        self,
        *,
        settings: BrokerSettings,
        stream: str,
        decode: Callable[[bytes, str | None], Entry | None],
        look_back: timedelta,
        clock: Clock,
    ) -> None:
        """``decode`` returns None for an entry that nobody wants: decoding costs more than the rest of its way."""
        self.stream = stream
        self._declaration = next(one for one in streams(settings.events_kept) if one.name == stream)
        self.declares = False
        """Whether a stream that is missing is declared, instead of waited for."""
        self._decode = decode
        self._from = clock() - look_back
        self._mark: _Mark | None = None
        """Where to go on from after a lost link."""
        self._last: int | None = None
        """Where the log ended when this link came up."""
        self._quiet: asyncio.TimerHandle | None = None
        self._caught_up = False
        self._read = asyncio.Event()
        self.entries_read = 0
        """Entries that have come, for people who wait."""
        self.readers: list[Callable[[Entry], object]] = []
        self.when_caught_up: list[Callable[[], None]] = []
        self.when_replaced: list[Callable[[], None]] = []
        """Called where the log is another one than before: what was written into the old one is lost."""
        self.link = Link(name=stream, settings=settings, set_up=self._set_up)

    @property
    def caught_up(self) -> bool:
        """True once everything that was there when the link came up has been read."""
        return self._caught_up and self.link.up

    async def wait_until_read(self) -> None:
        """Return once everything has been read, or the broker has answered that it has no event log."""
        await self._read.wait()

    async def _set_up(self, channel: AbstractChannel) -> None:
        self._caught_up = False
        await self._find()
        await channel.set_qos(prefetch_count=MAX_READ_AHEAD)
        count = (await channel.get_queue(self.stream)).declaration_result.message_count
        stream = await channel.get_underlay_channel()
        if self._mark is not None and not await self._is_the_same(stream, self._mark):
            logger.bind(stream=self.stream, offset=self._mark.offset).info("this is another log; reading all of it")
            self._mark = None
            for notify in self.when_replaced:
                notify()
        # The count is seconds old, so it says little of a log that has just begun.
        self._last = await self._last_offset(stream) if count else None
        begin: int | datetime = self._from if self._mark is None else self._mark.offset + 1
        await stream.basic_consume(self.stream, self._on_message, arguments={"x-stream-offset": begin})
        self._wait_for_quiet()

    async def _find(self) -> None:
        """Look whether it is there, and declare it where that is ours to do."""
        async with self.link.spare_channel() as spare:
            if await count_messages(spare, self._declaration) is not None:
                return
            self._read.set()  # no controller has run with this broker yet: nothing is all there is
            if not self.declares:
                raise StreamMissingError(f"there is no stream {self.stream} on the broker yet")
            await declare(spare, [self._declaration])

    async def _is_the_same(self, stream: Underlay, mark: _Mark) -> bool:
        """Return whether the entry that was read last is still where it was."""
        found = await self._first(stream, mark.offset)
        return found is not None and _mark_of(found) == mark

    async def _on_message(self, message: DeliveredMessage) -> None:
        mark = _mark_of(message)
        try:
            parts = parts_of(message.body, message.header.properties.message_type)
        except MessageError as error:
            self._pass_over(mark, error)
        else:
            for body, type_ in parts:
                self._read_one(mark, body, type_)
        self._mark = mark
        if not self._caught_up:
            self._wait_for_quiet()
        if self._caught_up or mark.offset % ACKNOWLEDGE_EVERY == 0:
            assert message.delivery_tag is not None
            await message.channel.basic_ack(message.delivery_tag, multiple=True)

    def _read_one(self, mark: _Mark, body: bytes, type_: str | None) -> None:
        self.entries_read += 1
        try:
            entry = self._decode(body, type_)
        except MessageError as error:
            self._pass_over(mark, error)
            return
        if entry is not None:
            for read in self.readers:
                read(entry)

    def _pass_over(self, mark: _Mark, error: MessageError) -> None:
        logger.bind(stream=self.stream, offset=mark.offset, reason=str(error)).debug("an entry is passed over")

    def _wait_for_quiet(self) -> None:
        """Start waiting anew: something has come."""
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(QUIET_TIMEOUT, self._when_quiet)

    def _when_quiet(self) -> None:
        if self._last is None or (self._mark is not None and self._mark.offset >= self._last):
            self._have_caught_up()
        else:
            self._wait_for_quiet()

    def _have_caught_up(self) -> None:
        self._caught_up = True
        self._read.set()
        logger.bind(stream=self.stream, offset=self._mark and self._mark.offset).debug("stream read")
        for notify in self.when_caught_up:
            notify()

    async def _last_offset(self, stream: Underlay) -> int | None:
        """Where the newest chunk of the log begins; None when nothing of what is asked for is there."""
        newest = await self._first(stream, "last")
        if newest is None:
            return None
        # Whatever it is, and whoever wants it: what is older than all that is asked for is not delivered.
        written_at = newest.header.properties.timestamp
        return None if written_at is not None and written_at < self._from else _offset(newest)

    async def _first(self, stream: Underlay, offset: int | str) -> DeliveredMessage | None:
        """Return the first entry from this offset on, if there is one."""
        found: asyncio.Future[DeliveredMessage] = asyncio.get_running_loop().create_future()

        async def note(message: DeliveredMessage) -> None:
            if not found.done():
                found.set_result(message)

        consumer = await stream.basic_consume(self.stream, note, arguments={"x-stream-offset": offset})
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                return await found
        except TimeoutError:
            return None
        finally:
            assert consumer.consumer_tag is not None
            await stream.basic_cancel(consumer.consumer_tag)


def _offset(message: DeliveredMessage) -> int:
    headers = message.header.properties.headers
    assert headers is not None
    offset = headers["x-stream-offset"]
    assert isinstance(offset, int)
    return offset


def _mark_of(message: DeliveredMessage) -> _Mark:
    properties = message.header.properties
    return _Mark(_offset(message), hash((properties.message_id, properties.timestamp, message.body)))
