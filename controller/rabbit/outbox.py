"""Publishing: persistent, mandatory, confirmed, with a bounded number under way and a timeout for each.

A publish that timed out may still arrive later (measured during a memory alarm): readers must expect duplicates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, HeadersType
from aio_pika.exceptions import DeliveryError

from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.events import LogEntry
from controller.domain.reason import Reason
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.sweep_report import SweepReport
from controller.domain.watch_position import Position
from controller.messages.codec import (
    CONTENT_TYPE,
    END_TYPE,
    POSITION_TYPE,
    SWEEP_TYPE,
    encode_end,
    encode_item,
    encode_position,
    encode_sweep,
    type_of,
)
from controller.rabbit import delay, names
from controller.rabbit.link import Link, as_broker_error
from controller.rabbit.log_writer import LogWriter
from controller.rabbit.topology_keeper import TopologyKeeper
from controller.settings import BrokerSettings
from controller.tracing import HEADER, carried, span

MAX_UNCONFIRMED = 256
"""Unconfirmed publishes: measured, 64 to 256 give five times the rate of one, and past 1,000 acks get slow."""
SILENT_TIMEOUTS = 2
"""So many timeouts without any confirmation, and the link is built anew: a broker that hangs, or is parted from the
others, takes what is published and confirms nothing for a minute, while another one would."""
MAX_REASON_LENGTH = 500
"""Characters of a reason in a header."""


class RabbitOutbox:
    """The flows' ``Outbox``, and the way to the dead letters."""

    def __init__(self, *, settings: BrokerSettings, regions: Iterable[str]) -> None:
        self._settings = settings
        self._window = asyncio.Semaphore(MAX_UNCONFIRMED)
        self._log_window = asyncio.Semaphore(MAX_UNCONFIRMED)
        """Commands do not wait for a place behind a log that takes nothing."""
        self._silent_since: dict[str, float] = {}
        """By exchange: since when it has been published to, and nothing was confirmed."""
        self._log = LogWriter(self._append)
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self.link = Link(name="publish", settings=settings, set_up=self._set_up)
        self.topology = TopologyKeeper(link=self.link, settings=settings, regions=regions)

    async def _set_up(self, channel: AbstractChannel) -> None:
        await self.topology.declare_all()
        self._exchanges = {"": channel.default_exchange}
        self._channel = channel

    async def send(self, item: WorkItem) -> None:
        """Publish a fresh command. A drain's id is the same from every replica, and at every repetition."""
        message_id = f"{item.drain_id}.{item.cause}" if isinstance(item, DrainCommand) else item.drain_id
        with span("drain.publish", drain_id=item.drain_id, pod=item.pod.key, region=item.region):
            await self._publish(names.COMMANDS, item.region, encode_item(item), type_of(item), message_id)

    async def postpone(self, item: WorkItem, after: timedelta) -> None:
        """Publish a work item into the delay queues."""
        seconds = delay.whole_seconds(after)
        exchange = names.delay_level(delay.entry_level(seconds))
        due = item.progress.due_at.timestamp() if item.progress else 0
        message_id = f"{item.drain_id}.{due:.3f}"
        key = delay.routing_key(seconds, item.region)
        await self._publish(exchange, key, encode_item(item), type_of(item), message_id)

    async def proceed(self, item: WorkItem) -> None:
        """Publish a work item straight to its region's queue, with what its last step has noted."""
        step = item.progress.step if item.progress else 0
        message_id = f"{item.drain_id}.{step}"
        await self._publish(names.COMMANDS, item.region, encode_item(item), type_of(item), message_id)

    async def route(self, region: str, message: AbstractIncomingMessage) -> None:
        """Send a message on to the region's queue, as it came."""
        await self._forward(names.COMMANDS, region, message)

    async def keep_unrouted(self, message: AbstractIncomingMessage) -> None:
        """Put a message that nobody has a queue for back among its like, with the key that says for whom it is."""
        await self._forward(names.UNROUTED, message.routing_key or "", message)

    async def _forward(self, exchange: str, key: str, message: AbstractIncomingMessage) -> None:
        headers: HeadersType = {HEADER: message.headers[HEADER]} if HEADER in message.headers else {}
        await self._publish(
            exchange,
            key,
            message.body,
            message.type,
            message.message_id,
            content_type=message.content_type,
            headers=headers,
        )

    async def dead_letter(self, region: str, item: WorkItem, reason: Reason) -> None:
        """Put a work item among its region's dead letters."""
        await self.dead_letter_raw(region, encode_item(item), reason, type_=type_of(item), message_id=item.drain_id)

    async def dead_letter_raw(
        self,
        region: str,
        body: bytes,
        reason: Reason,
        *,
        type_: str | None,
        message_id: str | None,
        content_type: str | None = CONTENT_TYPE,
    ) -> None:
        """Put a body that may not be ours among the region's dead letters, unchanged."""
        headers: HeadersType = {"x-reason": str(reason)[:MAX_REASON_LENGTH], "x-reason-code": reason.code.value}
        await self._publish(names.DEAD, region, body, type_, message_id, headers=headers, content_type=content_type)

    async def record(self, entry: LogEntry) -> None:
        """Append to the event stream."""
        await self._log.write(entry)

    async def _append(self, body: bytes, type_: str, message_id: str | None) -> None:
        await self._publish("", names.EVENTS, body, type_, message_id)

    async def publish_end(self, end: PodEnd) -> None:
        """Append to the stream of pods' ends."""
        await self._publish("", names.ENDS, encode_end(end), END_TYPE, f"{end.uid}.end")

    async def record_sweep(self, report: SweepReport) -> None:
        """Append what a pass of the sweep came to to the event stream."""
        await self._append(encode_sweep(report), SWEEP_TYPE, None)

    async def record_position(self, position: Position) -> None:
        """Append to the stream of positions."""
        await self._publish("", names.POSITIONS, encode_position(position), POSITION_TYPE, None)

    async def _publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        type_: str | None,
        message_id: str | None,
        *,
        headers: HeadersType | None = None,
        content_type: str | None = CONTENT_TYPE,
    ) -> None:
        headers = {**(headers or {}), **carried()} or None
        message = Message(
            body,
            content_type=content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=message_id,
            timestamp=datetime.now(UTC),
            type=type_,
            headers=headers,
        )
        window = self._window if exchange else self._log_window
        with as_broker_error("the broker did not confirm"):
            # Waiting for a place in the window is no trouble of the broker's, so no clock runs yet.
            async with window:
                begun = asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout(self._settings.timeout.total_seconds()):
                        await self.link.wait_until_up()
                        await self._publish_now(message, exchange, key)
                except TimeoutError:
                    self._note_silence(exchange, begun)
                    raise
                self._silent_since.pop(exchange, None)

    async def _publish_now(self, message: Message, exchange: str, key: str) -> None:
        try:
            await (await self._exchange(exchange)).publish(message, key, mandatory=True)
        except DeliveryError:  # it met no queue
            await self.topology.declare_missing()
            await (await self._exchange(exchange)).publish(message, key, mandatory=True)

    def _note_silence(self, exchange: str, begun: float) -> None:
        """Note that a publish that began then was not confirmed in time; try another broker when none is for long."""
        since = self._silent_since.setdefault(exchange, begun)
        silent_for = asyncio.get_running_loop().time() - since
        if self.link.up and silent_for >= SILENT_TIMEOUTS * self._settings.timeout.total_seconds():
            self._silent_since.clear()
            self.link.give_up(f"the broker has confirmed nothing for {silent_for:.0f} s")

    async def _exchange(self, name: str) -> AbstractExchange:
        if name not in self._exchanges:
            assert self._channel is not None
            self._exchanges[name] = await self._channel.get_exchange(name, ensure=False)
        return self._exchanges[name]
