"""What anybody may publish, on the real broker: it fills no memory, ends no connection and stops no consumer."""

from __future__ import annotations

import asyncio
import resource
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from pamqp import encode

from controller.bounds import MAX_BODY_BYTES
from controller.domain.reason import ReasonCode
from controller.messages.codec import COMMAND_TYPE, CONTENT_TYPE, encode_item
from controller.rabbit import consumer, names
from controller.rabbit.bounded_reading import unread_bytes
from controller.rabbit.dead_letter_queue import TOO_LARGE, RabbitDeadLetterQueue
from controller.rabbit.link import connect
from tests.contract.brokers import (
    Handled,
    a_channel,
    a_consumer,
    an_outbox,
    command_for,
    fresh_region,
    kept_up,
    settings_for,
)
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until

NESTED = struct.pack(">I", 0)
while len(NESTED) < 100_000:
    NESTED = struct.pack(">I", len(NESTED) + 3) + b"\x01aF" + NESTED
ODD: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "a timestamp that no date can be": ("timestamp", b"\xff" * 8, {"timestamp": datetime(2026, 1, 1, tzinfo=UTC)}),
    "milliseconds for seconds": ("timestamp", struct.pack(">Q", 1_790_000_000_000), {"timestamp": 1}),
    "an id that is no text": ("shortstr", b"\x04\xff\xfe\xfd\xfc", {"message_id": "replaced"}),
    "tables within tables": ("table", NESTED, {"headers": {"a": 1}}),
    "a header's name that is no text": (
        "table", struct.pack(">I", 9) + b"\x02\xff\xfeS\x00\x00\x00\x01a", {"headers": {"a": 1}}
    ),
    "a header that no date can be": ("table", struct.pack(">I", 11) + b"\x01aT" + b"\xff" * 8, {"headers": {"a": 1}}),
}  # fmt: skip


@contextmanager
def encoding(monkeypatch: pytest.MonkeyPatch, kind: str, raw: bytes) -> Iterator[None]:
    """Another client than ours, which writes what ours cannot."""
    usual: Callable[[Any], bytes] = encode.METHODS[kind]
    replaced = ("replaced", {"a": 1})
    with monkeypatch.context() as patched:
        patched.setitem(
            encode.METHODS, kind, lambda value: raw if kind == "timestamp" or value in replaced else usual(value)
        )
        yield


@asynccontextmanager
async def consuming(broker: RabbitMq, region: str, handled: Handled) -> AsyncIterator[None]:
    async with an_outbox(broker, region, timeout=20) as outbox:
        one = a_consumer(broker, region, outbox, handled)
        one._prefetch = 1_000
        async with kept_up(one.link):
            yield


async def dead(broker: RabbitMq, region: str) -> int:
    async with a_channel(broker) as channel:
        queue = await channel.declare_queue(names.dead_queue(region), passive=True)
        return queue.declaration_result.message_count or 0


@pytest.mark.parametrize("odd", ODD)
async def test_a_message_that_cannot_be_decoded_stops_nobody(
    broker: RabbitMq, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    region, handled = fresh_region(), Handled()
    kind, raw, properties = ODD[odd]
    async with consuming(broker, region, handled), a_channel(broker) as channel:
        exchange = await channel.get_exchange(names.COMMANDS)
        with encoding(monkeypatch, kind, raw):
            await exchange.publish(aio_pika.Message(b"odd", **properties), region)
        good = encode_item(command_for(region, "good"))
        await exchange.publish(aio_pika.Message(good, type=COMMAND_TYPE, content_type=CONTENT_TYPE), region)
        await handled.until("good")

        async def is_dead() -> bool:
            return await dead(broker, region) == 1

        await until(is_dead, "the odd one among the dead letters")
    async with RabbitDeadLetterQueue(settings=settings_for(broker), region=region) as letters:
        [letter] = await letters.hold()
        assert letter.reason_code is ReasonCode.invalid_message


async def test_what_is_too_large_is_dead_lettered_by_the_broker_unread(broker: RabbitMq) -> None:
    region, handled = fresh_region(), Handled()
    async with consuming(broker, region, handled), a_channel(broker) as channel:
        exchange = await channel.get_exchange(names.COMMANDS)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        body = b"x" * 8_000_000
        for number in range(30):
            await exchange.publish(aio_pika.Message(body, message_id=f"m{number}"), region)

        async def are_dead() -> bool:
            return await dead(broker, region) == 30

        await until(are_dead, "30 dead letters")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        assert grown < 80, "MiB, what publishes them included"
        assert handled.ids == []
        async with RabbitDeadLetterQueue(settings=settings_for(broker), region=region) as letters:
            [first, *_] = await letters.hold()
            assert (first.reason, first.reason_code) == (TOO_LARGE, ReasonCode.invalid_message)
            assert "8000000 bytes" in first.problem
        whole = await (await channel.get_queue(names.dead_queue(region))).get()
        assert whole is not None
        assert len(whole.body) == 8_000_000
        await (await channel.get_queue(names.dead_queue(region))).purge()


async def test_what_there_is_no_room_for_goes_back_and_comes_again(
    broker: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "MAX_HELD_BYTES", 5_000)
    region, held = fresh_region(), 0
    most = 0

    class Slow(Handled):
        async def __call__(self, *arguments: Any) -> Any:
            nonlocal held, most
            held += 1
            most = max(most, held)
            await asyncio.sleep(0.02)
            held -= 1
            return await super().__call__(*arguments)

    handled = Slow()
    async with an_outbox(broker, region) as outbox:
        size = len(encode_item(command_for(region, "d00")))
        for number in range(40):
            await outbox.send(command_for(region, f"d{number:02}"))
    async with consuming(broker, region, handled):
        await until(lambda: len(set(handled.ids)) == 40, "all of them handled", timeout=150)
    assert most <= 5_000 // size
    assert await dead(broker, region) == 0


async def test_a_message_of_ours_keeps_what_we_read_of_it_and_no_more(broker: RabbitMq) -> None:
    async with await connect(settings_for(broker), "test") as connection, a_channel(broker) as outside:
        queue = await outside.declare_queue(fresh_region(), durable=True, arguments={"x-expires": 60_000})
        at = datetime(2026, 11, 28, 12, tzinfo=UTC)
        message = aio_pika.Message(
            b"b" * MAX_BODY_BYTES, content_type="c", message_id="m", type="t", timestamp=at, expiration=60, priority=3,
            headers={"x-reason": "r" * 5_000, "x-reason-code": "denied", "others": "o", "x-unread-bytes": 1},
        )  # fmt: skip
        await outside.default_exchange.publish(message, queue.name)
        await outside.default_exchange.publish(aio_pika.Message(b"b" * (MAX_BODY_BYTES + 1)), queue.name)
        mine = await (await connection.channel()).get_queue(queue.name, ensure=False)
        whole, large = await one_of(mine), await one_of(mine)
        assert (len(whole.body), unread_bytes(whole)) == (MAX_BODY_BYTES, 0)
        assert (whole.content_type, whole.message_id, whole.type, whole.timestamp) == ("c", "m", "t", at)
        assert whole.headers == {"x-reason": "r" * 1_000, "x-reason-code": "denied"}
        assert (large.body, unread_bytes(large)) == (b"", MAX_BODY_BYTES + 1)


async def one_of(queue: aio_pika.abc.AbstractQueue) -> AbstractIncomingMessage:
    message = await queue.get()
    assert message is not None
    return message
