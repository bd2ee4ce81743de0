"""The real broker's side of a test: an outbox and a consumer as the product builds them, and a look from outside."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from controller.domain.commands import DrainCommand, WorkItem
from controller.errors import BrokerError
from controller.flows.handler_result import Ack, HandlerResults
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.link import Link
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.spare_channel import SpareChannel
from controller.settings import BrokerSettings, SecretUrl
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_command


def settings_for(broker: RabbitMq, *, timeout: float = 3) -> BrokerSettings:
    """The product's settings for this broker."""
    return BrokerSettings(url=SecretUrl(broker.url), timeout=timedelta(seconds=timeout))


def fresh_region() -> str:
    """A name that no other test uses."""
    return f"r-{secrets.token_hex(4)}"


@asynccontextmanager
async def kept_up(link: Link) -> AsyncIterator[None]:
    """A link that is kept, and up to begin with."""
    running = asyncio.create_task(link.run(), name="link")
    try:
        await asyncio.wait_for(link.wait_until_up(), 20)
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def an_outbox(broker: RabbitMq, *regions: str, timeout: float = 3) -> AsyncIterator[RabbitOutbox]:
    """An outbox that declares these regions."""
    outbox = RabbitOutbox(settings=settings_for(broker, timeout=timeout), regions=regions)
    async with kept_up(outbox.link):
        yield outbox


async def until_confirmed(write: Callable[[], Awaitable[None]]) -> None:
    """Write again and again, as the flows do: whoever writes to a stream that is being deleted may lose the connection.

    Measured: one time in thirty on a busy machine.
    """

    async def is_confirmed() -> bool:
        try:
            await write()
        except BrokerError:
            return False
        return True

    await until(is_confirmed, "a confirmation")


class Handled:
    """What a consumer's handler saw, with the loop's time of each."""

    def __init__(self, verdicts: Callable[[WorkItem], HandlerResults] = lambda _: (Ack(),)) -> None:
        self.seen: list[tuple[str, float, bool]] = []
        self._verdicts = verdicts

    @property
    def ids(self) -> list[str]:
        """The drains, in their order."""
        return [drain for drain, _, _ in self.seen]

    async def __call__(self, command: WorkItem, redelivered: bool) -> HandlerResults:
        self.seen.append((command.drain_id, asyncio.get_running_loop().time(), redelivered))
        return self._verdicts(command)

    async def until(self, drain: str, *, timeout: float = 20) -> float:
        """When it came."""
        await until(lambda: drain in self.ids, f"{drain} handled", timeout=timeout, interval=0.02)
        return next(at for seen, at, _ in self.seen if seen == drain)


def a_consumer(
    broker: RabbitMq, region: str, outbox: RabbitOutbox, handle: Callable[[WorkItem, bool], Awaitable[HandlerResults]]
) -> RegionConsumer:
    """One region's consumer; its link is to be kept up."""
    return RegionConsumer(settings=settings_for(broker), region=region, prefetch=10, outbox=outbox, handle=handle)


def command_for(region: str, drain: str = "drain-1") -> DrainCommand:
    """A fresh command."""
    return a_command(region=region, drain_id=drain)


@asynccontextmanager
async def a_channel(broker: RabbitMq) -> AsyncIterator[AbstractChannel]:
    """A plain channel: a look from outside."""
    async with await aio_pika.connect(broker.url) as connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


@asynccontextmanager
async def a_spare_channel(broker: RabbitMq) -> AsyncIterator[SpareChannel]:
    """What the product declares on."""
    async with await aio_pika.connect(broker.url) as connection, SpareChannel(connection) as spare:
        yield spare


async def next_of(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    """Wait for a queue's next message and take it."""
    found = await channel.get_queue(queue)
    message: AbstractIncomingMessage = await until(lambda: found.get(no_ack=True, fail=False), f"one in {queue}")
    return message
