"""Reads the audit log as a stranger would: plain AMQP, a stream, from the first message on."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from controller.messages.codec import EVENT_TYPE
from controller.messages.groups import parts_of
from tests.stack.waiting import until

Told = dict[str, Any]


class EventLog:
    """One region's events, in order of arrival. RestoreDispatcher, which are no outcome, are left out."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.events: list[Told] = []

    def about(self, pod: str) -> list[Told]:
        """A pod's events."""
        return [event for event in self.events if event["pod"] == pod]

    def outcomes(self, pod: str) -> list[str]:
        """A pod's outcomes, in order, repeated tries left out."""
        return list(dict.fromkeys(event["outcome"] for event in self.about(pod)))

    async def wait_for(self, pod: str, outcome: str, *, timeout: float = 60) -> Told:
        """The pod's event with this outcome."""

        def look() -> Told | None:
            return next((event for event in self.about(pod) if event["outcome"] == outcome), None)

        found: Told = await until(look, f"{outcome} of {pod}", timeout=timeout)
        return found


def reason_of(event: Told) -> str:
    """Why, in words; empty where no reason is given."""
    return event["reason"].get("detail", "") if event["reason"] else ""


def events_in(message: AbstractIncomingMessage) -> list[Told]:
    """Return the events that a message of the log holds; takeovers and the like are left out."""
    parts = parts_of(message.body, message.type)
    return [msgspec.json.decode(body) for body, type_ in parts if type_ == EVENT_TYPE]


@asynccontextmanager
async def event_log(url: str, region: str, *, also: Iterable[str] = ("",)) -> AsyncIterator[EventLog]:
    """Follow the log. `also` are other regions whose events are kept: "" is that of refusals before routing."""
    log, regions = EventLog(region), {region, *also}
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        await until(lambda: _declared(connection), "the event stream")

        async def note(message: AbstractIncomingMessage) -> None:
            log.events += [event for event in events_in(message) if event["region"] in regions]
            await message.ack()

        queue = await channel.get_queue("drain.events", ensure=False)
        await queue.consume(note, arguments={"x-stream-offset": "first"})
        yield log


async def _declared(connection: aio_pika.abc.AbstractConnection) -> bool:
    channel = await connection.channel()
    try:
        await channel.get_queue("drain.events")
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def messages_of(url: str, queue: str) -> list[AbstractIncomingMessage]:
    """Take everything out of a queue."""
    found = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        source = await channel.get_queue(queue)
        while (message := await source.get(fail=False)) is not None:
            found.append(message)
            await message.ack()
    return found
