"""Declares every exchange and queue, in one place: an existing one with other arguments fails each reconnect.

Quorum queues throughout. A delivery limit is set with a dead-letter exchange behind it, so that what crashes its
consumer again and again ends among the dead letters instead of being dropped. At-least-once dead-lettering needs all
three of its arguments, or the broker silently falls back to at-most-once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelPreconditionFailed

from controller.errors import BrokerError
from controller.rabbit import ladder, names

DELIVERY_LIMIT = 100
LOOKED_AT = 1_000_000
"""Each look at a dead letter counts as a delivery; a broker's own limit (20 from RabbitMQ 4.0) would drop it."""
POSITIONS_KEPT = timedelta(hours=1)
"""An API server remembers five minutes."""
POSITIONS_SEGMENT_BYTES = 1_000_000
SEGMENT_BYTES = 50_000_000
"""A stream forgets whole segments only; the stock 500 MB would keep a quiet cluster's log for ever."""


async def declare(channel: AbstractChannel, regions: Iterable[str], *, events_kept: timedelta) -> None:
    """Declare everything that these regions need. Repeatable; BrokerError names what exists with other arguments."""
    unrouted = await _exchange(channel, names.UNROUTED, ExchangeType.FANOUT)
    await (await _queue(channel, names.UNROUTED, {})).bind(unrouted)
    catch_unrouted = {"alternate-exchange": names.UNROUTED}
    commands = await _exchange(channel, names.COMMANDS, ExchangeType.TOPIC, catch_unrouted)
    dead = await _exchange(channel, names.DEAD, ExchangeType.DIRECT)
    delay_out = await _exchange(channel, names.DELAY_OUT, ExchangeType.TOPIC, catch_unrouted)
    for region in regions:
        work = await _queue(
            channel,
            names.commands_queue(region),
            {**_dead_letter(names.DEAD, region), "x-delivery-limit": DELIVERY_LIMIT},
        )
        await work.bind(commands, region)
        await work.bind(delay_out, f"#.{region}")
        dead_letters = await _queue(channel, names.dead_queue(region), {"x-delivery-limit": LOOKED_AT})
        await dead_letters.bind(dead, region)
    await _declare_ladder(channel)
    await _stream(channel, names.EVENTS, kept=events_kept, segment=SEGMENT_BYTES)
    await _stream(channel, names.POSITIONS, kept=POSITIONS_KEPT, segment=POSITIONS_SEGMENT_BYTES)


async def _stream(channel: AbstractChannel, name: str, *, kept: timedelta, segment: int) -> None:
    arguments: dict[str, Any] = {
        "x-queue-type": "stream",
        "x-max-age": f"{max(1, int(kept.total_seconds()))}s",
        "x-stream-max-segment-size-bytes": segment,
    }
    await _declared(name, channel.declare_queue(name, durable=True, arguments=arguments))


async def _declare_ladder(channel: AbstractChannel) -> None:
    below = names.DELAY_OUT
    for level in range(ladder.LEVELS):
        name = names.delay_level(level)
        exchange = await _exchange(channel, name, ExchangeType.TOPIC)
        queue = await _queue(channel, name, {"x-message-ttl": 1_000 * 2**level, **_dead_letter(below)})
        await queue.bind(exchange, ladder.binding(level, waits=True))
        lower = await channel.get_exchange(below, ensure=False)
        await lower.bind(exchange, ladder.binding(level, waits=False))
        below = name


def _dead_letter(exchange: str, routing_key: str | None = None) -> dict[str, Any]:
    arguments = {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return arguments if routing_key is None else {**arguments, "x-dead-letter-routing-key": routing_key}


async def _exchange(
    channel: AbstractChannel, name: str, kind: ExchangeType, arguments: dict[str, Any] | None = None
) -> Any:
    return await _declared(name, channel.declare_exchange(name, kind, durable=True, arguments=arguments))


async def _queue(channel: AbstractChannel, name: str, arguments: dict[str, Any]) -> AbstractQueue:
    arguments = {"x-queue-type": "quorum", **arguments}
    queue: AbstractQueue = await _declared(name, channel.declare_queue(name, durable=True, arguments=arguments))
    return queue


async def _declared(name: str, declaration: Any) -> Any:
    try:
        return await declaration
    except ChannelPreconditionFailed as error:
        raise BrokerError(
            f"{name!r} exists on the broker with other arguments; move its messages and delete it ({error})"
        ) from error
