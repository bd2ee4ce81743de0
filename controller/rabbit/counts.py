"""How full the queues are, asked in plain AMQP: no management plugin, no further permission."""

from __future__ import annotations

from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from controller.rabbit.link import as_broker_error


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue as the broker counts it."""

    messages: int
    consumers: int


async def queue_states(connection: AbstractConnection, queues: list[str]) -> dict[str, QueueState | None]:
    """Count messages that wait and consumers; None for a queue that is not there."""
    states: dict[str, QueueState | None] = {}
    with as_broker_error("the queues cannot be counted"):
        for name in queues:
            channel = await connection.channel()
            try:
                counted = (await channel.declare_queue(name, passive=True)).declaration_result
            except ChannelNotFoundEntity:
                states[name] = None
                continue
            states[name] = QueueState(messages=counted.message_count or 0, consumers=counted.consumer_count or 0)
            await channel.close()
    return states
