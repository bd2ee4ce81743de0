"""Dead letters on the real broker, and a look at them from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.domain.dead_messages import DeadMessage
from controller.rabbit import names
from controller.rabbit.dead_letter_queue import RabbitDeadLetterQueue
from controller.rabbit.outbox import RabbitOutbox
from tests.contract.brokers import a_channel, an_outbox, command_for, fresh_region, settings_for
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_reason


@asynccontextmanager
async def parked(broker: RabbitMq, count: int) -> AsyncIterator[tuple[str, RabbitOutbox]]:
    """A region of its own with so many dead letters, ``d0`` the oldest."""
    region = fresh_region()
    async with an_outbox(broker, region) as outbox:
        for number in range(count):
            await outbox.dead_letter(region, command_for(region, f"d{number}"), a_reason(f"reason {number}"))
        yield region, outbox


def letters_of(broker: RabbitMq, region: str) -> RabbitDeadLetterQueue:
    return RabbitDeadLetterQueue(settings=settings_for(broker), region=region)


def ids(letters: list[DeadMessage]) -> list[str]:
    return [letter.item.drain_id if letter.item else letter.message_id for letter in letters]


def numbered(count: int) -> list[str]:
    return [f"d{number}" for number in range(count)]


async def waiting(broker: RabbitMq, region: str) -> int:
    """How many letters nobody holds."""
    async with a_channel(broker) as channel:
        queue = await channel.declare_queue(names.dead_queue(region), passive=True)
        return queue.declaration_result.message_count or 0


async def settled_down(broker: RabbitMq, region: str, count: int) -> None:
    async def look() -> bool:
        return await waiting(broker, region) == count

    await until(look, f"{count} dead letters in {region}")
