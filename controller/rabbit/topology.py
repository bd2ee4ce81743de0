"""Declares every exchange and queue, in one place: an existing one with other arguments fails each reconnect.

Quorum queues throughout. A work queue's delivery limit has a dead-letter exchange behind it, so that what crashes its
consumer again and again ends among the dead letters instead of being dropped. Every other queue gets a limit that is
never reached: RabbitMQ 4 has one of 20 where none is set, and drops what was looked at more often. At-least-once
dead-lettering needs all three of its arguments, or the broker silently falls back to at-most-once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, assert_never

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from controller.bounds import MAX_UNROUTED, MAX_UNROUTED_BYTES, MAX_UNROUTED_SECONDS
from controller.errors import BrokerError, PartsMissingError
from controller.rabbit import delay, names
from controller.rabbit.spare_channel import SpareChannel

DELIVERY_LIMIT = 100
UNREACHED_DELIVERY_LIMIT = 1_000_000
"""Each look at a message counts as a delivery; a broker's own limit (20 from RabbitMQ 4.0) would drop it."""
UNROUTED_BOUNDS = {
    "x-max-length": MAX_UNROUTED,
    "x-max-length-bytes": MAX_UNROUTED_BYTES,
    "x-message-ttl": int(MAX_UNROUTED_SECONDS * 1_000),
}
"""The oldest go: nobody may ever come for them."""
POSITIONS_KEPT = timedelta(hours=1)
"""An API server remembers five minutes."""
POSITIONS_SEGMENT_BYTES = 1_000_000
SEGMENT_BYTES = 50_000_000
"""A stream forgets whole segments only; the stock 500 MB would keep a quiet cluster's log for ever."""


@dataclass(frozen=True, slots=True)
class ExchangeDeclaration:
    """A durable exchange."""

    name: str
    kind: ExchangeType
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """A durable queue, or a stream."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BindingDeclaration:
    """What comes to ``source`` with ``key`` goes on to ``target``, a queue or an exchange."""

    source: str
    key: str
    target: str
    to_exchange: bool = False

    @property
    def name(self) -> str:
        """What it is a part of."""
        return self.target


Declaration = ExchangeDeclaration | QueueDeclaration | BindingDeclaration


def topology(regions: Iterable[str], *, events_kept: timedelta) -> tuple[Declaration, ...]:
    """Everything that these regions need, in the order in which it can be declared."""
    return (*queues(regions), *streams(events_kept))


def queues(regions: Iterable[str]) -> tuple[Declaration, ...]:
    """Return all that commands pass, in the order in which it can be declared."""
    catch_unrouted = {"alternate-exchange": names.UNROUTED}
    things: list[Declaration] = [
        ExchangeDeclaration(names.UNROUTED, ExchangeType.FANOUT),
        _quorum_queue(names.UNROUTED, UNROUTED_BOUNDS),
        BindingDeclaration(names.UNROUTED, "", names.UNROUTED),
        ExchangeDeclaration(names.COMMANDS, ExchangeType.TOPIC, catch_unrouted),
        ExchangeDeclaration(names.DEAD, ExchangeType.DIRECT),
        ExchangeDeclaration(names.DELAY_OUT, ExchangeType.TOPIC, catch_unrouted),
    ]
    for region in regions:
        work, dead = names.commands_queue(region), names.dead_queue(region)
        things += [
            _quorum_queue(work, {**_dead_letter(names.DEAD, region), "x-delivery-limit": DELIVERY_LIMIT}),
            BindingDeclaration(names.COMMANDS, region, work),
            BindingDeclaration(names.DELAY_OUT, f"#.{region}", work),
            _quorum_queue(dead),
            BindingDeclaration(names.DEAD, region, dead),
            QueueDeclaration(names.dead_lock(region), {"x-queue-type": "classic"}),
        ]
    return (*things, *_delay_queues())


def streams(events_kept: timedelta) -> tuple[QueueDeclaration, ...]:
    """Return the logs."""
    return (
        _stream(names.EVENTS, kept=events_kept, segment=SEGMENT_BYTES),
        _stream(names.ENDS, kept=events_kept, segment=SEGMENT_BYTES),
        _stream(names.POSITIONS, kept=POSITIONS_KEPT, segment=POSITIONS_SEGMENT_BYTES),
    )


def _delay_queues() -> list[Declaration]:
    things: list[Declaration] = []
    below = names.DELAY_OUT
    for level in range(delay.LEVELS):
        name = names.delay_level(level)
        things += [
            ExchangeDeclaration(name, ExchangeType.TOPIC),
            _quorum_queue(name, {"x-message-ttl": 1_000 * 2**level, **_dead_letter(below)}),
            BindingDeclaration(name, delay.binding(level, waits=True), name),
            BindingDeclaration(name, delay.binding(level, waits=False), below, to_exchange=True),
        ]
        below = name
    return things


def _stream(name: str, *, kept: timedelta, segment: int) -> QueueDeclaration:
    age = f"{max(1, int(kept.total_seconds()))}s"
    return QueueDeclaration(
        name, {"x-queue-type": "stream", "x-max-age": age, "x-stream-max-segment-size-bytes": segment}
    )


def _quorum_queue(name: str, arguments: Mapping[str, Any] | None = None) -> QueueDeclaration:
    limit = {"x-queue-type": "quorum", "x-delivery-limit": UNREACHED_DELIVERY_LIMIT}
    return QueueDeclaration(name, {**limit, **(arguments or {})})


def _dead_letter(exchange: str, routing_key: str | None = None) -> dict[str, Any]:
    arguments = {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return arguments if routing_key is None else {**arguments, "x-dead-letter-routing-key": routing_key}


async def declare(channel: SpareChannel, things: Iterable[Declaration]) -> bool:
    """Declare these, in their order; return False where we may not, and all of them are there. Repeatable.

    Who was refused once declares nothing more: it only looks, and bindings cannot be looked at. BrokerError names what
    exists with other arguments; PartsMissingError what is neither there nor ours to declare.
    """
    allowed, missing, refusal = True, list[str](), ""
    for thing in things:
        if not allowed and (isinstance(thing, BindingDeclaration) or await count_messages(channel, thing) is not None):
            continue
        try:
            await channel.ask(partial(declare_one, thing))
        except ChannelPreconditionFailed as error:
            raise BrokerError(
                f"{thing.name!r} exists on the broker with other arguments; move its messages and delete it ({error})"
            ) from error
        except ChannelAccessRefused as error:
            if isinstance(thing, BindingDeclaration):
                raise BrokerError(f"{thing.name!r} may not be bound ({error})") from error
            allowed = False
            if await count_messages(channel, thing) is None:
                missing.append(thing.name)
                refusal = refusal or str(error)
    if missing:
        raise PartsMissingError(list(dict.fromkeys(missing)), refusal)
    return allowed


async def declare_missing(channel: SpareChannel, things: Iterable[Declaration], *, bind: bool = True) -> list[str]:
    """Declare what of these is not there, and return its names. What is there is left alone as it is.

    Every binding is made anew, unless ``bind`` is False: nobody can ask for one.
    """
    missing = [
        thing
        for thing in things
        if (bind if isinstance(thing, BindingDeclaration) else await count_messages(channel, thing) is None)
    ]
    await declare(channel, missing)
    return [thing.name for thing in missing if not isinstance(thing, BindingDeclaration)]


async def count_messages(channel: SpareChannel, thing: ExchangeDeclaration | QueueDeclaration) -> int | None:
    """Return how many messages wait in it (in an exchange none do); None when it is not there."""
    try:
        return await channel.ask(partial(_count_messages, thing))
    except ChannelNotFoundEntity:
        return None


async def is_declared(channel: SpareChannel, queue: str) -> bool:
    """Return whether there is a queue of this name."""
    return await count_messages(channel, QueueDeclaration(queue, {})) is not None


async def _count_messages(thing: ExchangeDeclaration | QueueDeclaration, channel: AbstractChannel) -> int:
    if isinstance(thing, ExchangeDeclaration):
        await channel.declare_exchange(thing.name, passive=True)
        return 0
    return (await channel.declare_queue(thing.name, passive=True)).declaration_result.message_count or 0


async def declare_one(thing: Declaration, channel: AbstractChannel) -> None:
    """Declare one part of it, with whatever the client library raises."""
    match thing:
        case ExchangeDeclaration(name, kind, arguments):
            await channel.declare_exchange(name, kind, durable=True, arguments=dict(arguments) or None)
        case QueueDeclaration(name, arguments):
            await channel.declare_queue(name, durable=True, arguments=dict(arguments))
        case BindingDeclaration(source, key, target, to_exchange):
            bound: AbstractExchange | AbstractQueue = (
                await channel.get_exchange(target, ensure=False)
                if to_exchange
                else await channel.get_queue(target, ensure=False)
            )
            await bound.bind(source, key)
        case _:
            assert_never(thing)
