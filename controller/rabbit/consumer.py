"""Consuming one region's commands: decode, handle, perform the results, and only then acknowledge.

A message is acknowledged when everything that follows from it is in the broker's hands. Whatever stands in the way of
that (the broker itself) is waited for with the message held; if the channel ends meanwhile, the broker gives the
message to somebody else. ``message.process()`` is not used: it rejects on any exception, cancellation included.

A drain that only waits for its next look is held, too, as long as there is room: a step then costs no write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TypeVar, assert_never

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from loguru import logger

from controller.bounds import MAX_BODY_BYTES, MAX_HELD_BYTES, MAX_WAITING
from controller.domain.commands import WorkItem
from controller.domain.reason import Reason, ReasonCode
from controller.errors import BrokerError, MessageError, PartsMissingError
from controller.flows.backoff import Backoff
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, HandlerResults, Proceed, Wait
from controller.flows.ports import Unwritten
from controller.messages.codec import decode_item
from controller.rabbit import names
from controller.rabbit.bounded_reading import BoundedChannel, ByteRoom, unread_bytes
from controller.rabbit.kept_cancellation import kept_cancellation
from controller.rabbit.link import BROKER_TROUBLE, Link, as_broker_error
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.topology import declare, is_declared, queues
from controller.rabbit.unrouted import bring_back
from controller.rabbit.waiting_room import CONSUMER_TIMEOUT, MAX_WAIT, LeftError, WaitEnd, WaitingRoom, is_ours
from controller.settings import BrokerSettings
from controller.tracing import span

MAX_BACKOFF = timedelta(seconds=5)

FIRST_INTERVALS = (0.5, 3.0)
"""Seconds: a publish that met no queue may arrive a little after the queue."""
BRING_BACK_INTERVAL = 10.0
"""Seconds between two looks afterwards: a binding that was deleted by hand is made anew without our being told."""
LOOKS_UNTIL_WHOLE = 30
"""Five minutes: what comes while another region's goes away is not more."""

RETURN_INTERVAL = 0.05
"""Seconds between two messages that go back for want of room: one of them at a time may come again."""

T = TypeVar("T")
Handler = Callable[[WorkItem, bool], Awaitable[HandlerResults]]
"""Takes a work item, and whether the broker has delivered it before."""


class RegionConsumer:
    """Feeds one region's worker, on its own connection: an alarm that blocks publishers must not block acks."""

    def __init__(
        self, *, settings: BrokerSettings, region: str, prefetch: int, outbox: RabbitOutbox, handle: Handler
    ) -> None:
        self._settings = settings
        self._region = region
        self._prefetch = prefetch
        self._outbox = outbox
        self._handle = handle
        self.unwritten: Unwritten | None = None
        """What the event log has to take before a message is let go."""
        self._in_flight: set[asyncio.Task[None]] = set()
        self._queue: AbstractQueue | None = None
        self._tag: str | None = None
        self._stopping = False
        self._declared = asyncio.Event()
        self._room = ByteRoom(MAX_HELD_BYTES)
        self._waiting_room = WaitingRoom()
        self._queue_lost = False
        """Whether the queue was deleted, with all that was not acknowledged, since the link was up last."""
        self._places = asyncio.Semaphore(prefetch)
        """For messages that are worked on; those that wait take none."""
        self._one_returns = asyncio.Lock()
        self.link = Link(name=f"work {region}", settings=settings, set_up=self._set_up)

    async def _set_up(self, channel: AbstractChannel) -> None:
        commands = names.commands_queue(self._region)
        try:
            async with self.link.spare_channel() as spare:
                self._queue_lost |= self.link.cancelled or not await is_declared(spare, commands)
                await declare(spare, queues((self._region,)))
        except PartsMissingError as error:  # what else is missing is named by the publishing link
            if commands in error.names:
                raise
        assert isinstance(channel, BoundedChannel)
        self._room = channel.room = ByteRoom(MAX_HELD_BYTES)
        self._waiting_room.end_channel(WaitEnd.write_down if self._queue_lost else WaitEnd.leave)
        self._queue_lost = False
        await channel.set_qos(prefetch_count=self._prefetch + MAX_WAITING)
        self._queue = await channel.get_queue(commands, ensure=False)
        self._tag = None
        if not self._stopping:
            milliseconds = int(CONSUMER_TIMEOUT.total_seconds() * 1000)
            self._tag = await self._queue.consume(self._on_message, arguments={"x-consumer-timeout": milliseconds})
        self._declared.set()

    async def bring_back_unrouted(self) -> None:
        """Fetch what came for the queue while it, or what leads to it, was not there. For ever.

        All that is unrouted is looked through when the queue has just been declared, and rarely afterwards; in between
        only when more has come.
        """
        pauses: Iterator[float] = iter(())
        left = 0
        for look in count():
            if await self._is_declared_within(next(pauses, BRING_BACK_INTERVAL)):
                pauses, left = iter(FIRST_INTERVALS), 0
                continue
            try:
                if self.link.up:
                    with as_broker_error("not fetched"):
                        left = await self._bring_back(left if look % LOOKS_UNTIL_WHOLE else 0)
            except BrokerError as error:
                log = logger.bind(region=self._region, error=str(error))
                log.warning("unrouted messages not brought back")

    async def _bring_back(self, beyond: int) -> int:
        async with self.link.spare_channel() as spare:
            return await spare.ask(partial(bring_back, region=self._region, outbox=self._outbox, beyond=beyond))

    async def _is_declared_within(self, seconds: float) -> bool:
        """Wait for the queue to be declared; return whether it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._declared.wait()
        declared = self._declared.is_set()
        self._declared.clear()
        return declared

    async def stop(self, within: timedelta) -> None:
        """Take no more, let what is in flight finish, and leave the rest to the broker."""
        self._stopping = True
        if self._queue is not None and self._tag is not None and self.link.up:
            with suppress(*BROKER_TROUBLE), kept_cancellation():
                await self._queue.cancel(self._tag, timeout=2)
        self._waiting_room.close()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=within.total_seconds())

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # In a task of our own: the library cancels its own ones when the channel ends, and a queue that was deleted by
        # hand delivers nothing again. What has been begun is finished, and its next step is sent.
        task = asyncio.create_task(self._see_through_or_leave(message))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        task.add_done_callback(partial(_give_back, self._room, len(message.body)))

    async def _see_through_or_leave(self, message: AbstractIncomingMessage) -> None:
        try:
            with kept_cancellation():
                await self._see_through(message)
        except LeftError:
            pass
        except BROKER_TROUBLE as error:
            # The channel is gone, and with it our right to acknowledge; the broker delivers the message again.
            logger.bind(region=self._region, error=type(error).__name__).warning("message left to the broker")
        except Exception as error:  # a mistake of ours; the message stays with the broker
            logger.bind(region=self._region, error=f"{type(error).__name__}: {error}").error("message not seen through")

    async def _see_through(self, message: AbstractIncomingMessage) -> None:
        # What is not here takes no place: it waits for room, which those may have that wait for a place.
        if size := unread_bytes(message):
            await self._return_unread(message, size)
            return
        async with self._places:
            await self._work_on(message)

    async def _work_on(self, message: AbstractIncomingMessage) -> None:
        for result in await self._results_of(message):
            try:
                await self._until_confirmed(message, partial(self._perform, result))
            except BROKER_TROUBLE:
                raise
            except Exception as error:  # what cannot be put on the wire must not block the queue, nor be lost
                detail = f"its next step cannot be written ({type(error).__name__})"
                reason = Reason(code=ReasonCode.internal_error, detail=detail)
                await self._until_confirmed(message, partial(self._dead_letter_as_it_came, message, reason))
        if self.unwritten is not None and not self.unwritten.is_written:
            # A place that is held for a message of a channel that is gone would be missed by those that come again.
            await self._waiting_room.wait_for(message, self.unwritten.wait_until_written)
        with as_broker_error("not acknowledged"):
            await message.ack()

    async def _results_of(self, message: AbstractIncomingMessage) -> HandlerResults:
        """Handle the message, again and again while its drain only waits in between and there is room for it."""
        results = await self._step(message, lambda: self._handle_message(message))
        with self._waiting_room.place(message) as has_room:
            until = asyncio.get_running_loop().time() + MAX_WAIT.total_seconds()
            while isinstance(wait := results[0], Wait):
                if not has_room or wait.after >= MAX_WAIT:
                    break
                match await self._waited(message, wait, until):
                    case WaitEnd.time_over:
                        results = await self._step(message, wait.go_on)
                    case WaitEnd.write_down:
                        # For ever: the message that it came with may be gone with its queue.
                        await self._until_confirmed(None, partial(self._outbox.proceed, wait.item))
                        return (Ack(),)
                    case WaitEnd.leave:
                        raise LeftError
        return results

    async def _waited(self, message: AbstractIncomingMessage, wait: Wait, until: float) -> WaitEnd:
        """Wait without taking a place."""
        self._places.release()
        try:
            with wait.sooner() as sooner:
                return await self._waiting_room.wait(message, wait.after, until, sooner)
        finally:
            await self._places.acquire()

    async def _step(
        self, message: AbstractIncomingMessage, act: Callable[[], Awaitable[HandlerResults]]
    ) -> HandlerResults:
        with span("drain.step", headers=message.headers, message=message.message_id, region=self._region):
            return await self._until_confirmed(message, act)

    async def _return_unread(self, message: AbstractIncomingMessage, size: int) -> None:
        """Have the broker put it among the dead letters, or bring it again when there is room."""
        if size > MAX_BODY_BYTES:
            log = logger.bind(region=self._region, message_id=str(message.message_id), bytes=size)
            log.warning("message dead-lettered: it is too large to be one of ours")
            await message.reject(requeue=False)
            return
        async with self._one_returns:
            await self._room.wait_for(size)
            await message.nack(requeue=True)
            await asyncio.sleep(RETURN_INTERVAL)

    async def _until_confirmed(self, message: AbstractIncomingMessage | None, act: Callable[[], Awaitable[T]]) -> T:
        """Repeat only what the broker did not confirm, for as long as the message is ours; without one, for ever."""
        backoff = Backoff(longest=MAX_BACKOFF)
        while True:
            try:
                return await act()
            except BrokerError:
                if message is not None and not is_ours(message):
                    raise
                await backoff.wait()

    async def _handle_message(self, message: AbstractIncomingMessage) -> HandlerResults:
        try:
            item = decode_item(message.body, type_=message.type, content_type=message.content_type)
            if item.region != self._region:
                raise MessageError(f"it is for region {item.region!r}, and came to {self._region!r}")
        except MessageError as error:
            log = logger.bind(region=self._region, message_id=str(message.message_id), reason=str(error))
            log.warning("message dead-lettered")
            await self._dead_letter_as_it_came(message, Reason(code=ReasonCode.invalid_message, detail=str(error)))
            return (Ack(),)
        return await self._handle(item, bool(message.redelivered))

    async def _dead_letter_as_it_came(self, message: AbstractIncomingMessage, reason: Reason) -> None:
        await self._outbox.dead_letter_raw(
            self._region,
            message.body,
            reason,
            type_=message.type,
            message_id=message.message_id,
            content_type=message.content_type,
        )

    async def _perform(self, result: HandlerResult) -> None:
        match result:
            case Ack():
                pass
            case Delay(item=item, after=after) | Wait(alone=Delay(item=item, after=after)):
                await self._outbox.postpone(item, after)
            case Proceed(item=item):
                await self._outbox.proceed(item)
            case DeadLetter(item=item, reason=reason):
                await self._outbox.dead_letter(self._region, item, reason)
            case _:
                assert_never(result)


def _give_back(room: ByteRoom, size: int, _: asyncio.Task[None]) -> None:
    room.give(size)
