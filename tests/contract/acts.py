"""What a holder of rights at the broker can do with them, past the product; AMQPError when the broker refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractQueue

from controller.rabbit import names
from controller.rabbit.names import commands_queue, dead_queue

Act = Callable[[AbstractChannel], Awaitable[object]]
US, DEAD_US = commands_queue("us"), dead_queue("us")


async def _queue(channel: AbstractChannel, name: str) -> AbstractQueue:
    return await channel.get_queue(name, ensure=False)


def purge(name: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        await (await _queue(channel, name)).purge()

    return act


def take(name: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        await (await _queue(channel, name)).get(fail=False)

    return act


def delete(name: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        await channel.queue_delete(name)

    return act


def publish(exchange: str, key: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        where = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await where.publish(Message(b"as anybody can write it"), key)

    return act


async def _declare(channel: AbstractChannel) -> None:
    await channel.declare_queue(commands_queue("mars"), durable=True, arguments={"x-queue-type": "quorum"})


async def _unbind(channel: AbstractChannel) -> None:
    await (await _queue(channel, US)).unbind(names.COMMANDS, "us")


async def _follow(channel: AbstractChannel) -> None:
    seen = asyncio.Event()

    async def note(_: object) -> None:
        seen.set()

    await channel.set_qos(prefetch_count=10)
    await (await _queue(channel, names.EVENTS)).consume(note, arguments={"x-stream-offset": "first"})
    await asyncio.wait_for(seen.wait(), 20)


ACTS: dict[str, Act] = {
    "declare another queue": _declare,
    "delete the event log": delete(names.EVENTS),
    "delete a region's queue with its commands": delete(US),
    "unbind a region's queue, so that its commands are unrouted": _unbind,
    "take commands of `us`": take(US),
    "purge commands of `us`": purge(US),
    "purge what is unrouted": purge(names.UNROUTED),
    "purge dead letters of `us`": purge(DEAD_US),
    "look at dead letters of `us`": take(DEAD_US),
    "read the event log": _follow,
    "purge the event log": purge(names.EVENTS),
    "command a drain in any region": publish(names.COMMANDS, "us"),
    "give up a command in any region": publish(names.DEAD, "us"),
    "append to the event log": publish("", names.EVENTS),
    "put a message into any queue, past the exchanges": publish("", US),
}
"""By their names on the page of permissions."""
