"""The dead letters of one region: hold them without losing one, and settle those that are done with.

Dead letters are held unacknowledged: the broker puts back whatever was not settled when the connection ends. While they
are held, nobody else sees them.

Trap: an acknowledgement is answered by nobody. The broker's channel keeps those of a quorum queue to itself once 32 are
not applied yet, and forgets them when it ends: of 200 that were followed by a close, 33 to 167 came back
(RabbitMQ 3.10.8). Counting the queue does not wait for them; fetching from it does, since a fetch is a command of the
queue's own log like they are (``rabbit_fifo_client``: ``settle`` is sent, ``dequeue`` is waited for).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, QueueEmpty

from controller.domain.commands import WorkItem
from controller.domain.dead_messages import DeadMessage
from controller.domain.reason import ReasonCode
from controller.errors import MessageError
from controller.flows.ports import MAX_DEAD_MESSAGES
from controller.messages.codec import decode_item
from controller.rabbit import names
from controller.rabbit.link import BROKER_TROUBLE, as_broker_error, connect
from controller.settings import BrokerSettings

NO_REASON = "the broker gave it up: it was delivered too often, and never acknowledged"


class RabbitDeadLetterQueue:
    """One region's dead letters, held from ``hold`` until the context ends."""

    def __init__(self, *, settings: BrokerSettings, region: str) -> None:
        self._settings = settings
        self._region = region
        self._connection: AbstractConnection | None = None
        self._queue: AbstractQueue | None = None
        self._held: dict[int, AbstractIncomingMessage] = {}
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> RabbitDeadLetterQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            with suppress(*BROKER_TROUBLE):
                async with asyncio.timeout(self._settings.timeout.total_seconds()):
                    await self._connection.close()

    async def hold(self, limit: int = MAX_DEAD_MESSAGES) -> list[DeadMessage]:
        """Hold what is there, the oldest first. Empty when the region has never been declared."""
        with as_broker_error(f"the dead letters of {self._region} cannot be read"):
            self._connection = await connect(self._settings, f"dead {self._region}")
            channel = await self._connection.channel()
            try:
                queue = self._queue = await channel.declare_queue(names.dead_queue(self._region), passive=True)
            except ChannelNotFoundEntity:
                return []
            messages: list[DeadMessage] = []
            # No more than there were: whatever another process puts back would come round for ever.
            for number in range(1, min(limit, queue.declaration_result.message_count or 0) + 1):
                try:
                    message = await queue.get(timeout=self._settings.timeout.total_seconds())
                except QueueEmpty:
                    break
                assert message is not None
                self._held[number] = message
                messages.append(_decode(number, self._region, message))
            return messages

    async def settle(self, number: int) -> None:
        """Take it out of the queue for good, and return when it is out.

        A dead letter that arrived meanwhile may be fetched on the way: it goes back with those that were not settled.
        """
        assert self._queue is not None
        async with self._one_at_a_time:
            with as_broker_error("not acknowledged"):
                await self._held[number].ack()
                with suppress(QueueEmpty):
                    await self._queue.get(timeout=self._settings.timeout.total_seconds())
            del self._held[number]


def _decode(number: int, region: str, message: AbstractIncomingMessage) -> DeadMessage:
    item: WorkItem | None = None
    problem = ""
    code = message.headers.get("x-reason-code")
    try:
        item = decode_item(message.body, type_=message.type, content_type=message.content_type)
    except MessageError as error:
        problem = str(error)
    if item is not None and item.region != region:
        problem = f"it is for region {item.region!r}"
    return DeadMessage(
        number=number,
        region=region,
        reason=str(message.headers.get("x-reason") or NO_REASON),
        reason_code=None if code is None else ReasonCode(str(code)),
        type=message.type or "",
        message_id=message.message_id or "",
        died_at=message.timestamp,
        item=None if problem else item,
        problem=problem,
    )
