"""Writing to the event log: an entry that comes alone goes at once, and those that come meanwhile share messages.

A message costs as much as decoding twenty entries does, for whoever writes it and for each who reads. Nobody waits for
company: only while so many messages are not confirmed yet do entries gather for the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass

from controller.bounds import MAX_GROUP_BYTES, MAX_GROUPED
from controller.domain.events import LogEntry
from controller.errors import BrokerError
from controller.messages.codec import encode_entry, type_of
from controller.messages.groups import GROUP_TYPE, encode_group

MAX_UNCONFIRMED = 4
"""Messages under way. More of them make a burst of entries less of a group."""

Publish = Callable[[bytes, str, str], Awaitable[None]]
"""Publishes a body, with its type and its id; BrokerError when it was not confirmed."""


@dataclass(frozen=True, slots=True)
class _Written:
    body: bytes
    type_: str
    id: str
    confirmed: asyncio.Future[None]


class LogWriter:
    """Appends entries; what is confirmed, and what is not, is told for each of them."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._gathered: deque[_Written] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def write(self, entry: LogEntry) -> None:
        """Append an entry. BrokerError when it was not confirmed: it may be there, or not."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append(_Written(encode_entry(entry), type_of(entry), entry.event_id, confirmed))
        self._go_on()
        await confirmed

    def _go_on(self) -> None:
        while len(self._under_way) < MAX_UNCONFIRMED and (chosen := self._next()):
            # Many drains' entries: the message belongs to no trace.
            task = asyncio.create_task(self._send(chosen), name="write to the event log", context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._is_done)

    def _is_done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._go_on()

    def _next(self) -> list[_Written]:
        """Take what the next message holds: one entry, and those that have room beside it. Nobody waits for some."""
        chosen: list[_Written] = []
        size = 0
        while self._gathered and len(chosen) < MAX_GROUPED:
            one = self._gathered[0]
            size += len(one.body)
            if chosen and size > MAX_GROUP_BYTES:
                break
            self._gathered.popleft()
            if not one.confirmed.done():
                chosen.append(one)
        return chosen

    async def _send(self, chosen: list[_Written]) -> None:
        failure: Exception | None = None
        try:
            first, *others = chosen
            if others:
                await self._publish(encode_group([(one.body, one.type_) for one in chosen]), GROUP_TYPE, first.id)
            else:
                await self._publish(first.body, first.type_, first.id)
        except Exception as error:
            failure = error
        for one in chosen:
            if one.confirmed.done():  # whoever asked waits no more
                continue
            if failure is None:
                one.confirmed.set_result(None)
            else:
                # One of its own for each: raising marks an exception.
                one.confirmed.set_exception(BrokerError(str(failure)) if isinstance(failure, BrokerError) else failure)
