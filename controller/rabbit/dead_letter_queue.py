"""The dead letters of one region: hold them without losing one, and settle those that are done with.

Dead letters are held unacknowledged: the broker puts back whatever was not settled when the connection ends. While they
are held, nobody else sees them; so who looks takes the region's lock first, and who finds it taken waits, instead of
seeing a part and taking it for all. Who ends sees them back first, and lets go of the lock then. The lock is an
exclusive consumer of a queue that stays empty: the broker ends it with the connection. (Quorum queues ignore that a
consumer is exclusive, without a word.)

Messages are fetched one at a time, and their bodies are let go as soon as they are decoded.

Trap: an acknowledgement is answered by nobody. The broker's channel keeps those of a quorum queue to itself once 32 are
not applied yet, and forgets them when it ends: of 200 that were followed by a close, 33 to 167 came back
(RabbitMQ 3.10.8). Counting the queue does not wait for them; fetching from it does, since a fetch is a command of the
queue's own log like they are (``rabbit_fifo_client``: ``settle`` is sent, ``dequeue`` is waited for).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, QueueEmpty
from aiormq.exceptions import ChannelAccessRefused

from controller.bounds import MAX_DEAD_BATCH_BYTES, MAX_DEAD_MESSAGES
from controller.domain.commands import WorkItem
from controller.domain.dead_messages import DeadMessage
from controller.domain.reason import ReasonCode
from controller.errors import BrokerError, MessageError
from controller.messages.codec import decode_item
from controller.rabbit import names
from controller.rabbit.bounded_reading import check_read
from controller.rabbit.counts import counted
from controller.rabbit.link import BROKER_TROUBLE, as_broker_error, connect
from controller.settings import BrokerSettings

NO_REASON = "the broker gave it up: it was delivered too often, and never acknowledged"
TOO_LARGE = "it is too large to be one of ours, and was not read"
COUNT_INTERVAL = 0.05
"""Seconds between two counts of what was given back."""


@dataclass(frozen=True, slots=True)
class LockWait:
    """How somebody waits for the lock. Nobody stands in line: who tries more often than others is the next."""

    timeout: float
    """Seconds until they give up. A look takes less than one, a requeue of many some more."""
    interval: float
    """Seconds between two tries."""


WORKING = LockWait(timeout=30.0, interval=0.05)
"""Of a person's command: those who only look must not keep it waiting, however many they are."""
LOOKING = LockWait(timeout=3.0, interval=0.5)
"""Of the page, which does not wait for the end of a long requeue, and stands back for who is at work."""


class RabbitDeadLetterQueue:
    """One region's dead letters, held from ``hold`` until the context ends."""

    def __init__(self, *, settings: BrokerSettings, region: str, lock_wait: LockWait = WORKING) -> None:
        self._settings = settings
        self._region = region
        self._lock_wait = lock_wait
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._tags: dict[int, int] = {}
        """The broker's delivery tags by our numbers."""
        self._ahead: list[DeadMessage] = []
        """Fetched, and not returned by ``hold`` yet."""
        self._fetched = 0
        self._is_behind = False
        """Whether the last acknowledgement may not be applied yet."""
        self._one_at_a_time = asyncio.Lock()
        self.unseen = 0
        """How many of those that were there at the first ``hold`` have not been held."""

    async def __aenter__(self) -> RabbitDeadLetterQueue:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            timeout = self._settings.timeout.total_seconds()
            with suppress(*BROKER_TROUBLE):
                async with asyncio.timeout(timeout):
                    if self._is_behind:
                        await self._fetch()
                    await self._put_back(self._connection)
            with suppress(*BROKER_TROUBLE):
                async with asyncio.timeout(timeout):
                    await self._connection.close()

    async def hold(self, limit: int = MAX_DEAD_MESSAGES) -> list[DeadMessage]:
        """Hold the next ones, the oldest first. Empty when there are no more, or the region was never declared.

        All calls together hold no more than there were at the first: what is put back would come round for ever.
        """
        with as_broker_error(f"the dead letters of {self._region} cannot be read"):
            if self._connection is None:
                await self._open()
            if self._queue is None:
                return []
            while self.unseen and len(self._ahead) < limit and self._has_room():
                if not await self._fetch():
                    break
            messages, self._ahead = self._ahead[:limit], self._ahead[limit:]
            return messages

    async def settle(self, number: int) -> None:
        """Take it out of the queue for good, and return when it is out.

        What is fetched on the way is the first of the next ``hold``. (Where much was fetched already, the next fetch
        brings it out.)
        """
        assert self._channel is not None
        async with self._one_at_a_time:
            with as_broker_error("not acknowledged"):
                underlay = await self._channel.get_underlay_channel()
                await underlay.basic_ack(self._tags[number])
                self._is_behind = not self._has_room()
                if not self._is_behind:
                    await self._fetch()
            del self._tags[number]

    def _has_room(self) -> bool:
        return sum(message.size for message in self._ahead) < MAX_DEAD_BATCH_BYTES

    async def _fetch(self) -> bool:
        """Fetch one more; return whether it counts: what has arrived since the first ``hold`` goes back at the end."""
        message = await self._get()
        if message is None or not self.unseen:
            return False
        self._keep(message)
        return True

    async def _get(self) -> AbstractIncomingMessage | None:
        assert self._queue is not None
        try:
            return await self._queue.get(timeout=self._settings.timeout.total_seconds())
        except QueueEmpty:
            return None

    def _keep(self, message: AbstractIncomingMessage) -> None:
        assert message.delivery_tag is not None
        self.unseen -= 1
        self._fetched += 1
        self._tags[self._fetched] = message.delivery_tag
        self._ahead.append(_decode(self._fetched, self._region, message))

    async def _put_back(self, connection: AbstractConnection) -> None:
        """Give back what was not settled before the lock goes: the connection's end does both, in any order."""
        if self._channel is None or self._channel.is_closed or not self._tags:
            return  # what has dropped is put back already
        looking = await connection.channel()
        await self._channel.close()
        while True:
            state = await counted(looking, names.dead_queue(self._region))
            if state.messages >= len(self._tags):
                return
            await asyncio.sleep(COUNT_INTERVAL)

    async def _open(self) -> None:
        self._connection = await connect(self._settings, f"dead {self._region}")
        async with asyncio.timeout(self._lock_wait.timeout + self._settings.timeout.total_seconds()):
            await self._lock(self._connection)
            self._channel = await self._connection.channel()
            try:
                self._queue = await self._channel.declare_queue(names.dead_queue(self._region), passive=True)
            except ChannelNotFoundEntity:
                return
            # Not by the declaration's count: that is 0 where the queue's leader takes more than a quarter of a second.
            if first := await self._get():
                self.unseen = 1 + (first.message_count or 0)
                self._keep(first)

    async def _lock(self, connection: AbstractConnection) -> None:
        """Wait for the lock. Where nobody has declared it yet, it is done without."""
        end = asyncio.get_running_loop().time() + self._lock_wait.timeout
        while True:
            try:
                channel = await connection.channel()
                lock = await channel.get_queue(names.dead_lock(self._region), ensure=False)
                await lock.consume(_ignore, exclusive=True)
            except ChannelNotFoundEntity:
                return
            except ChannelAccessRefused as error:
                if "exclusive" not in str(error):
                    raise
                if asyncio.get_running_loop().time() > end:
                    raise BrokerError("somebody else is handling them; try again when that has ended") from error
                await asyncio.sleep(self._lock_wait.interval)
            else:
                return


async def _ignore(_: AbstractIncomingMessage) -> None:
    """Leave what comes: nothing does."""


def _decode(number: int, region: str, message: AbstractIncomingMessage) -> DeadMessage:
    item: WorkItem | None = None
    problem = ""
    code = message.headers.get("x-reason-code")
    reason = message.headers.get("x-reason")
    if code is None and message.headers.get("x-first-death-reason") == "rejected":
        code, reason = ReasonCode.invalid_message.value, TOO_LARGE
    try:
        check_read(message)
        item = decode_item(message.body, type_=message.type, content_type=message.content_type)
    except MessageError as error:
        problem = str(error)
    if item is not None and item.region != region:
        problem = f"it is for region {item.region!r}"
    return DeadMessage(
        number=number,
        region=region,
        reason=str(reason or NO_REASON),
        reason_code=None if code is None else ReasonCode(str(code)),
        type=message.type or "",
        message_id=message.message_id or "",
        died_at=message.timestamp,
        item=None if problem else item,
        problem=problem,
        size=0 if problem else len(message.body),
    )
