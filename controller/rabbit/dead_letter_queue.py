"""Dead letters: looking at them without losing one, sending them again, dropping them.

Nothing is taken out before what follows from it is confirmed: letters are held unacknowledged while they are looked at,
and the broker puts back whatever was not settled when the connection ends. While they are held, nobody else sees them.

Trap: an acknowledgement is answered by nobody. The broker's channel keeps those of a quorum queue to itself once 32 are
not applied yet, and forgets them when it ends: of 200 that were followed by a close, 33 to 167 letters came back
(RabbitMQ 3.10.8). Counting the queue does not wait for them; fetching from it does, since a fetch is a command of the
queue's own log like they are (``rabbit_fifo_client``: ``settle`` is sent, ``dequeue`` is waited for).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, QueueEmpty

from controller.domain.takeover import WorkItem
from controller.errors import MessageError
from controller.messages.codec import decode_item
from controller.rabbit import names
from controller.rabbit.link import BROKER_TROUBLE, as_broker_error, connect
from controller.settings import BrokerSettings

NO_REASON = "the broker gave it up: it was delivered too often, and never acknowledged"
MAX_MESSAGES = 100_000
"""Letters that are held at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """One dead letter. ``order`` is None when it is no message of ours; ``problem`` then says why."""

    number: int
    """Its place in the queue, from 1."""
    region: str
    reason: str
    body: bytes
    type: str
    message_id: str
    content_type: str
    died_at: datetime | None = None
    item: WorkItem | None = None
    problem: str = ""


class DeadLetterQueue:
    """One region's dead letters, held from ``hold`` until the context ends."""

    def __init__(self, *, settings: BrokerSettings, region: str) -> None:
        self._settings = settings
        self._region = region
        self._connection: AbstractConnection | None = None
        self._queue: AbstractQueue | None = None
        self._held: dict[int, AbstractIncomingMessage] = {}
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> DeadLetterQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            with suppress(*BROKER_TROUBLE):
                async with asyncio.timeout(self._settings.timeout.total_seconds()):
                    await self._connection.close()

    async def hold(self, most: int = MAX_MESSAGES) -> list[DeadMessage]:
        """Take what is there, the oldest first. Empty when the region has never been declared."""
        with as_broker_error(f"the dead letters of {self._region} cannot be read"):
            self._connection = await connect(self._settings, f"dead {self._region}")
            channel = await self._connection.channel()
            try:
                queue = self._queue = await channel.declare_queue(names.dead_queue(self._region), passive=True)
            except ChannelNotFoundEntity:
                return []
            letters: list[DeadMessage] = []
            # No more than there were: whatever another process puts back would come round for ever.
            for number in range(1, min(most, queue.declaration_result.message_count or 0) + 1):
                try:
                    message = await queue.get(timeout=self._settings.timeout.total_seconds())
                except QueueEmpty:
                    break
                assert message is not None
                self._held[number] = message
                letters.append(_letter(number, self._region, message))
            return letters

    async def settle(self, number: int) -> None:
        """Take it out of the queue for good; returns when it is.

        A letter that arrived meanwhile may be fetched on the way: it goes back with the others that were not settled.
        """
        assert self._queue is not None
        async with self._one_at_a_time:
            with as_broker_error("not acknowledged"):
                await self._held[number].ack()
                with suppress(QueueEmpty):
                    await self._queue.get(timeout=self._settings.timeout.total_seconds())
            del self._held[number]


def _letter(number: int, region: str, message: AbstractIncomingMessage) -> DeadMessage:
    item: WorkItem | None = None
    problem = ""
    try:
        decoded = decode_item(message.body, type_=message.type, content_type=message.content_type)
    except MessageError as error:
        problem = str(error)
    else:
        item = decoded if decoded.region == region else None
        problem = "" if item else f"it is for region {decoded.region!r}"
    reason = message.headers.get("x-reason")
    return DeadMessage(
        number=number,
        region=region,
        reason=str(reason) if reason else NO_REASON,
        body=message.body,
        type=message.type or "",
        message_id=message.message_id or "",
        content_type=message.content_type or "",
        died_at=message.timestamp,
        item=item,
        problem=problem,
    )
