"""Looking at dead letters of the real broker takes a bounded number of bytes, and a few letters at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import aio_pika
import pytest

from controller.rabbit import dead_letter_queue, names
from tests.contract.brokers import a_channel
from tests.contract.dead_letters import ids, letters_of, numbered, parked, settled_down, waiting
from tests.stack.processes import output_of
from tests.stack.rabbitmq import RabbitMq

ROOT = Path(__file__).parents[2]


async def test_what_somebody_else_takes_meanwhile_is_counted_as_unseen(broker: RabbitMq) -> None:
    async with parked(broker, 5) as (region, _), a_channel(broker) as channel, letters_of(broker, region) as held:
        assert ids(await held.hold(2)) == ["d0", "d1"]
        assert held.unseen == 3
        queue = await channel.get_queue(names.dead_queue(region))
        for _ in range(2):
            assert await queue.get() is not None
        assert ids(await held.hold()) == ["d4"]
        assert await held.hold() == []
        assert held.unseen == 2
        assert await held.hold() == []


async def test_they_can_be_held_and_settled_a_few_at_a_time(broker: RabbitMq) -> None:
    async with parked(broker, 30) as (region, _):
        async with letters_of(broker, region) as held:
            seen = []
            while letters := await held.hold(7):
                seen += ids(letters)
                for letter in letters:
                    await held.settle(letter.number)
            assert seen == numbered(30)
        await settled_down(broker, region, 0)


async def test_no_more_bytes_are_held_than_there_is_room_for(broker: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letter_queue, "MAX_DEAD_BATCH_BYTES", 3_000)
    async with parked(broker, 20) as (region, _):
        async with letters_of(broker, region) as held:
            letters = await held.hold()
            assert 1 < len(letters) < 20
            for letter in letters:
                await held.settle(letter.number)
            rest = []
            while letters := await held.hold():
                rest += letters
                await held.settle(letters[0].number)
            assert not held.unseen
        async with letters_of(broker, region) as held:
            assert await waiting(broker, region) > 0


LOOK = """
import asyncio, resource, sys
from controller.rabbit.dead_letter_queue import RabbitDeadLetterQueue
from controller.settings import BrokerSettings, SecretUrl
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
async def main():
    async with RabbitDeadLetterQueue(settings=BrokerSettings(url=SecretUrl(sys.argv[1])), region=sys.argv[2]) as held:
        before = peak()
        print(len(await held.hold()), peak() - before)
asyncio.run(main())
"""


async def test_thirty_bodies_of_eight_megabytes_are_listed_in_little_memory(broker: RabbitMq) -> None:
    async with parked(broker, 0) as (region, _), a_channel(broker) as channel:
        exchange = await channel.get_exchange(names.DEAD)
        for number in range(30):
            await exchange.publish(aio_pika.Message(b"x" * 8_000_000, message_id=f"m{number}"), region)
        words = await output_of(
            sys.executable, "-c", LOOK, broker.url, region, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        count, grown = words.split()
        assert int(count) == 30
        assert int(grown) < 30, "MiB: one such body is 8, all are 240"
        async with letters_of(broker, region) as held:
            [first, *_] = await held.hold()
            assert "8000000 bytes" in first.problem
            assert (first.message_id, first.item) == ("m0", None)
            await held.settle(1)
        await settled_down(broker, region, 29)
        await (await channel.get_queue(names.dead_queue(region))).purge()
