"""The event log, followed over every outage of the broker, and what it must hold for each drain."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPError

from tests.e2e.event_log import events_in, reason_of
from tests.faults.population import Subject

Told = dict[str, Any]
FINAL = frozenset({"removed", "already_gone", "not_registered", "refused", "superseded", "restored", "failed"})
_TROUBLE = (*CONNECTION_EXCEPTIONS, AMQPError, TimeoutError, OSError)


class Audit:
    """Every event once, by its id, in order of arrival. Takeovers, which are no outcome, are left out."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._events: dict[str, Told] = {}
        self._next: int | str = "first"

    def of_region(self, region: str) -> list[Told]:
        """One region's events; those of a cluster by that name before routing, too."""
        return [event for event in self._events.values() if region in (event["region"], event["cluster"])]

    async def follow(self) -> None:
        """For ever."""
        while True:
            with suppress(*_TROUBLE):
                async with await aio_pika.connect(self._url, timeout=5) as connection:
                    lost = asyncio.Event()
                    channel = await connection.channel()
                    connection.close_callbacks.add(lambda *_, lost=lost: lost.set())
                    channel.close_callbacks.add(lambda *_, lost=lost: lost.set())
                    await channel.set_qos(prefetch_count=500)
                    queue = await channel.get_queue("drain.events", ensure=False)
                    await queue.consume(self._note, arguments={"x-stream-offset": self._next})
                    await lost.wait()
            await asyncio.sleep(0.3)

    async def _note(self, message: AbstractIncomingMessage) -> None:
        offset = message.headers.get("x-stream-offset")
        assert isinstance(offset, int)
        self._next = offset + 1
        for event in events_in(message):
            self._events.setdefault(event["event_id"], event)
        with suppress(*_TROUBLE):
            await message.ack()


@asynccontextmanager
async def audit(url: str) -> AsyncIterator[Audit]:
    """Follow the log until the end of the context."""
    # Outages are what the table is made of: the client library's own lines about them would bury a failure's text.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    found = Audit(url)
    task = asyncio.create_task(found.follow())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def unended(events: Iterable[Told], dying: Iterable[Subject]) -> list[str]:
    """The subjects that have a drain without an end, or no drain at all."""
    entries = list(events)
    ended = {event["drain_id"] for event in entries if event["outcome"] in FINAL}
    drains = defaultdict(set)
    for event in entries:
        drains[event["uid"]].add(event["drain_id"])
    return [subject.name for subject in dying if not drains[subject.uid] or drains[subject.uid] - ended]


def complaints(events: Iterable[Told], dying: Iterable[Subject], living: Iterable[Subject]) -> list[str]:
    """What the log must not say, or fails to say."""
    entries = list(events)
    found = [f"{name}: no final outcome" for name in unended(entries, dying)]
    finals = defaultdict(list)
    for event in entries:
        if event["outcome"] in FINAL:
            finals[event["drain_id"], event["app"], event["instance_id"]].append(event)
    for (drain_id, app, instance_id), ends in finals.items():
        if len(ends) > 1:
            outcomes = ", ".join(f"{end['outcome']} ({reason_of(end)}) at {end['at']}" for end in ends)
            found.append(f"{ends[0]['pod']}: {len(ends)} final outcomes of {drain_id} {app} {instance_id}: {outcomes}")
        if app == "" and any(key[0] == drain_id and key[1] for key in finals):
            found.append(f"{ends[0]['pod']}: {ends[0]['outcome']}, although an instance of it has its own outcome")
    drained = {event["uid"]: event for event in entries}
    found += [f"{one.name} lives and was drained: {drained[one.uid]['cause']}" for one in living if one.uid in drained]
    return found
