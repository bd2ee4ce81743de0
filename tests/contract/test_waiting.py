"""What waits at a worker on the real broker: kept unacknowledged between two looks, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from controller.domain.commands import WorkItem, new_progress
from controller.flows.handler_result import Ack, Delay, HandlerResults, Wait
from controller.messages.codec import decode_item
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.waiting_room import MAX_RETURNS
from tests.contract.brokers import (
    a_channel,
    a_consumer,
    an_outbox,
    command_for,
    fresh_region,
    kept_up,
    next_of,
    settings_for,
)
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import NOON

LONG = 60.0
"""Seconds; no test lasts so long."""


class Looks:
    """A handler that looks so many times at each drain, and lets it wait in between."""

    def __init__(
        self,
        looks: int,
        *,
        after: float,
        sooner: Callable[[], AbstractContextManager[asyncio.Event]] = lambda: nullcontext(asyncio.Event()),
    ) -> None:
        self.seen: list[tuple[str, int, bool]] = []
        """The drain, its step, and whether the broker had delivered it before."""
        self._looks = looks
        self._after = timedelta(seconds=after)
        self._sooner = sooner

    async def __call__(self, item: WorkItem, redelivered: bool) -> HandlerResults:
        progress = item.progress or new_progress(NOON)
        self.seen.append((item.drain_id, progress.step, redelivered))
        if progress.step == self._looks:
            return (Ack(),)
        later = replace(item, progress=replace(progress, step=progress.step + 1))
        alone = Delay(item=later, after=self._after)
        return (
            Wait(item=later, after=self._after, go_on=lambda: self(later, False), sooner=self._sooner, alone=alone),
        )


@contextmanager
def counted(outbox: RabbitOutbox) -> Iterator[list[str]]:
    """The ways in which something is published meanwhile."""
    ways: list[str] = []
    postpone, proceed = outbox.postpone, outbox.proceed

    async def by_delay(item: WorkItem, after: timedelta) -> None:
        ways.append("postpone")
        await postpone(item, after)

    async def at_once(item: WorkItem) -> None:
        ways.append("proceed")
        await proceed(item)

    with patch.object(outbox, "postpone", by_delay), patch.object(outbox, "proceed", at_once):
        yield ways


async def ways_of(broker: RabbitMq, region: str, looks: Looks, count: int) -> list[str]:
    """Let one drain be looked at so often; the ways in which something was published meanwhile."""
    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, looks)
        with counted(outbox) as ways:
            async with kept_up(consumer.link):
                await outbox.send(command_for(region, "one"))
                await until(lambda: len(looks.seen) == count, "all looks")
                await consumer.stop(timedelta(seconds=5))
    return ways


async def test_a_drain_that_waits_is_looked_at_again_without_a_write(broker: RabbitMq) -> None:
    region, looks = fresh_region(), Looks(3, after=0.3)
    ways = await ways_of(broker, region, looks, 4)
    assert looks.seen == [("one", step, False) for step in range(4)]
    assert ways == []
    async with a_channel(broker) as channel:
        queue = await channel.declare_queue(names.commands_queue(region), passive=True)
        assert queue.declaration_result.message_count == 0, "it was acknowledged"


async def test_a_drain_that_waits_is_looked_at_as_soon_as_something_wakes_it(broker: RabbitMq) -> None:
    region, wake = fresh_region(), asyncio.Event()
    looks = Looks(1, after=LONG, sooner=lambda: nullcontext(wake))
    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, looks)
        with counted(outbox) as ways:
            async with kept_up(consumer.link):
                await outbox.send(command_for(region, "one"))
                await until(lambda: looks.seen, "a look")
                wake.set()
                await until(lambda: len(looks.seen) == 2, "another look")
                await consumer.stop(timedelta(seconds=5))
    assert looks.seen == [("one", 0, False), ("one", 1, False)]
    assert ways == []


async def test_more_drains_wait_than_are_worked_on_at_a_time(broker: RabbitMq) -> None:
    region, looks = fresh_region(), Looks(1, after=LONG)
    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, looks)
        async with kept_up(consumer.link):
            sent = [f"drain-{number}" for number in range(3 * consumer._prefetch)]
            for drain in sent:
                await outbox.send(command_for(region, drain))
            await until(lambda: len(looks.seen) == len(sent), "a look at each")
    assert sorted(looks.seen) == sorted((drain, 0, False) for drain in sent)


async def test_what_waits_on_a_link_that_is_lost_is_delivered_again(broker: RabbitMq) -> None:
    region, looks = fresh_region(), Looks(1, after=LONG)
    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, looks)
        with counted(outbox) as ways:
            async with kept_up(consumer.link):
                await outbox.send(command_for(region, "one"))
                await until(lambda: looks.seen, "a look")
                consumer.link.give_up("as if it were lost")
                await until(lambda: len(looks.seen) == 2, "another look")
                await until(lambda: len(consumer._in_flight) == 1, "the old one left")
    assert looks.seen == [("one", 0, False), ("one", 0, True)]
    assert ways == [], "there is one of it"


@pytest.mark.parametrize("after", [LONG, 1.0], ids=["for long", "for less than it takes to connect again"])
async def test_what_waits_when_its_queue_is_deleted_by_hand_goes_on(
    broker: RabbitMq, monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    monkeypatch.setattr("controller.rabbit.link.MIN_BACKOFF", timedelta(seconds=3))
    region, looks = fresh_region(), Looks(1, after=after)
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        consumer = a_consumer(broker, region, outbox, looks)
        async with kept_up(consumer.link):
            await outbox.send(command_for(region, "one"))
            await until(lambda: looks.seen, "a look")
            await channel.queue_delete(names.commands_queue(region))
            await until(lambda: len(looks.seen) == 2, "another look")
            await consumer.stop(timedelta(seconds=5))
    assert looks.seen == [("one", 0, False), ("one", 1, False)], "as far as it had come"


async def test_a_worker_that_stops_writes_down_what_waits(broker: RabbitMq) -> None:
    region, looks = fresh_region(), Looks(2, after=LONG)
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        consumer = a_consumer(broker, region, outbox, looks)
        async with kept_up(consumer.link):
            await outbox.send(command_for(region, "one"))
            await until(lambda: looks.seen, "a look")
            await consumer.stop(timedelta(seconds=5))
        message = await next_of(channel, names.commands_queue(region))
        item = decode_item(message.body, type_=message.type, content_type=message.content_type)
        assert item.progress
        assert (item.progress.step, message.redelivered) == (1, False)
        assert await (await channel.get_queue(names.commands_queue(region))).get(no_ack=True, fail=False) is None


async def test_what_finds_no_room_waits_in_the_delay_queues(broker: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.rabbit.waiting_room.MAX_WAITING_BYTES", 0)
    region, looks = fresh_region(), Looks(2, after=1)
    ways = await ways_of(broker, region, looks, 3)
    assert looks.seen == [("one", step, False) for step in range(3)]
    assert ways == ["postpone", "postpone"]


async def test_what_was_kept_for_long_is_written_down_anew(broker: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.rabbit.consumer.MAX_WAIT", timedelta(seconds=1))
    region, looks = fresh_region(), Looks(3, after=0.6)
    ways = await ways_of(broker, region, looks, 4)
    assert looks.seen == [("one", step, False) for step in range(4)]
    assert ways == ["proceed"]


async def test_what_has_come_back_again_and_again_is_published_anew(broker: RabbitMq) -> None:
    region, looks = fresh_region(), Looks(1, after=1)
    commands = names.commands_queue(region)
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        await outbox.send(command_for(region, "one"))
        queue = await channel.get_queue(commands)
        for _ in range(MAX_RETURNS + 1):
            message = await queue.get(timeout=5)
            assert message is not None
            await message.reject(requeue=True)
        consumer = a_consumer(broker, region, outbox, looks)
        with counted(outbox) as ways:
            async with kept_up(consumer.link):
                await until(lambda: len(looks.seen) == 2, "both looks")
                await consumer.stop(timedelta(seconds=5))
    assert ways == ["postpone"]
    assert looks.seen == [("one", 0, True), ("one", 1, False)]


class StandingLog:
    """An event log that takes nothing until it is let."""

    def __init__(self) -> None:
        self.waiting = 0
        self.let = asyncio.Event()

    @property
    def is_written(self) -> bool:
        return self.let.is_set()

    async def wait_until_written(self) -> None:
        self.waiting += 1
        try:
            await self.let.wait()
        finally:
            self.waiting -= 1


def has_length(things: list[Any], length: int) -> bool:
    return len(things) == length


async def test_what_waits_for_the_log_takes_no_place_without_its_channel(broker: RabbitMq) -> None:
    region, log, seen = fresh_region(), StandingLog(), list[tuple[str, bool]]()

    async def handle(item: WorkItem, redelivered: bool) -> HandlerResults:
        seen.append((item.drain_id, redelivered))
        return (Ack(),)

    async with an_outbox(broker, region) as outbox:
        consumer = RegionConsumer(
            settings=settings_for(broker), region=region, prefetch=2, outbox=outbox, handle=handle
        )
        consumer.unwritten = log
        async with kept_up(consumer.link):
            for one in ("one", "two"):
                await outbox.send(command_for(region, one))
            await until(lambda: log.waiting == 2, "both wait for the log")
            for handled in (4, 6):
                consumer.link.give_up("the test")
                await until(partial(has_length, seen, handled), "both once more")
                await until(lambda: log.waiting == 2, "both, and nobody else")
            log.let.set()
            await until(lambda: log.waiting == 0, "both acknowledged")
            await consumer.stop(timedelta(seconds=5))
        assert sorted(seen[:2]) == [("one", False), ("two", False)]
        assert sorted(seen[-2:]) == [("one", True), ("two", True)]
        async with a_channel(broker) as channel:
            left = await channel.declare_queue(names.commands_queue(region), passive=True)
            assert left.declaration_result.message_count == 0
