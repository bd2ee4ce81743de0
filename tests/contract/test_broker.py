"""Topology, publishing, delays, dead letters and the event log on a real RabbitMQ."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from controller.domain.events import Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.errors import BrokerError
from controller.flows.handler_result import DeadLetter, Delay
from controller.messages.codec import COMMAND_TYPE, CONTENT_TYPE, EVENT_TYPE, decode_item, encode_item
from controller.rabbit import names
from controller.rabbit.topology import declare, topology
from tests.contract.brokers import (
    Handled,
    a_channel,
    a_consumer,
    a_spare_channel,
    an_outbox,
    command_for,
    fresh_region,
    kept_up,
    next_of,
)
from tests.stack.rabbitmq import RabbitMq
from tests.unit.building import NOON, a_progress, a_reason, at

KEPT = timedelta(days=30)
LATE = 1.2
"""Seconds that a delayed message may come too late on a busy machine."""

VERSION_2 = encode_item(command_for("eu")).replace(b'"version":1', b'"version":2')
NOT_OURS: dict[str, tuple[bytes, str | None, str | None]] = {
    "an unknown version": (VERSION_2, COMMAND_TYPE, CONTENT_TYPE),
    "not JSON": (b"\x00\xff not json", COMMAND_TYPE, CONTENT_TYPE),
    "half a command": (b'{"version": 1, "x": "\xc3\xa4"}', COMMAND_TYPE, CONTENT_TYPE),
    "another type": (encode_item(command_for("eu")), "drain.event", CONTENT_TYPE),
    "no type": (encode_item(command_for("eu")), None, CONTENT_TYPE),
    "another content type": (encode_item(command_for("eu")), COMMAND_TYPE, "text/plain"),
    "no content type": (encode_item(command_for("eu")), COMMAND_TYPE, None),
    "another region": (encode_item(command_for("mars")), COMMAND_TYPE, CONTENT_TYPE),
    "empty": (b"", COMMAND_TYPE, CONTENT_TYPE),
    "deep": (b"[" * 100_000, COMMAND_TYPE, CONTENT_TYPE),
}


async def test_the_topology_may_be_declared_again_and_again(broker: RabbitMq) -> None:
    region = fresh_region()
    async with a_channel(broker) as channel, a_spare_channel(broker) as spare:
        for _ in range(2):
            await declare(spare, topology([region], events_kept=KEPT))
        for queue in (names.commands_queue(region), names.dead_queue(region), names.UNROUTED, names.EVENTS, names.ENDS):
            assert (await channel.get_queue(queue, ensure=True)).name == queue


async def test_an_existing_queue_with_other_arguments_is_named(broker: RabbitMq) -> None:
    region = fresh_region()
    queue = names.dead_queue(region)
    async with a_channel(broker) as channel:
        await channel.declare_queue(queue, durable=True)
    async with a_spare_channel(broker) as spare:
        with pytest.raises(BrokerError, match=queue):
            await declare(spare, topology([region], events_kept=KEPT))


async def test_a_command_is_persistent_and_says_what_it_is(broker: RabbitMq) -> None:
    region = fresh_region()
    command = command_for(region)
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        await outbox.send(command)
        message = await next_of(channel, names.commands_queue(region))
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert (message.type, message.content_type) == (COMMAND_TYPE, CONTENT_TYPE)
    assert message.message_id == f"{command.drain_id}.terminating"
    assert decode_item(message.body, type_=message.type, content_type=message.content_type) == command


async def test_a_command_for_an_undeclared_region_is_kept_unrouted(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker) as outbox, a_channel(broker) as channel:
        await (await channel.get_queue(names.UNROUTED)).purge()
        await outbox.send(command_for(region))
        message = await next_of(channel, names.UNROUTED)
        assert message.routing_key == region
        await outbox.postpone(command_for(region), timedelta(seconds=1))
        assert decode_item(
            (await next_of(channel, names.UNROUTED)).body, type_=COMMAND_TYPE, content_type=CONTENT_TYPE
        ) == command_for(region)


async def test_a_postponed_command_comes_back_on_time_and_never_early(broker: RabbitMq) -> None:
    region = fresh_region()
    handled = Handled()
    async with an_outbox(broker, region) as outbox, kept_up(a_consumer(broker, region, outbox, handled).link):
        begun = {}
        for seconds in (5, 3, 2, 1, 0.3, 1.5):
            drain = f"drain-{seconds}"
            sent_at = asyncio.get_running_loop().time()
            await outbox.postpone(command_for(region, drain), timedelta(seconds=seconds))
            begun[drain] = (sent_at, asyncio.get_running_loop().time(), seconds)
        for drain, (sent_at, confirmed_at, seconds) in begun.items():
            handled_at = await handled.until(drain)
            whole = max(1, -(-seconds // 1))
            # The clock of the first queue begins to run between the sending and the confirm, which may come late.
            assert handled_at - sent_at >= whole - 0.01, drain
            assert handled_at - confirmed_at <= whole + LATE, drain
    assert len(handled.seen) == 6


async def test_progress_survives_the_delay_queues(broker: RabbitMq) -> None:
    region = fresh_region()
    command = replace(command_for(region), progress=a_progress(first_look_at=at(1.123456), attempt=7))
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        await outbox.postpone(command, timedelta(seconds=3))
        message = await next_of(channel, names.commands_queue(region))
    assert decode_item(message.body, type_=message.type, content_type=message.content_type) == command
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_what_proceeds_comes_straight_back_with_its_progress(broker: RabbitMq) -> None:
    region = fresh_region()
    command = replace(command_for(region), progress=a_progress(step=4))
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        await outbox.proceed(command)
        message = await next_of(channel, names.commands_queue(region))
    assert decode_item(message.body, type_=message.type, content_type=message.content_type) == command
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.message_id == f"{command.drain_id}.4"


@pytest.mark.parametrize(("body", "type_", "content_type"), NOT_OURS.values(), ids=NOT_OURS)
async def test_what_is_not_ours_is_dead_lettered_and_the_next_one_is_served(
    broker: RabbitMq, body: bytes, type_: str | None, content_type: str | None
) -> None:
    region = fresh_region()
    handled = Handled()
    async with (
        an_outbox(broker, region) as outbox,
        kept_up(a_consumer(broker, region, outbox, handled).link),
        a_channel(broker) as channel,
    ):
        exchange = await channel.get_exchange(names.COMMANDS)
        await exchange.publish(aio_pika.Message(body, type=type_, content_type=content_type), region)
        await outbox.send(command_for(region, "next"))
        await handled.until("next")
        dead = await next_of(channel, names.dead_queue(region))
        assert dead.body == body
        assert dead.headers["x-reason"]
        assert dead.headers["x-reason-code"] == "invalid_message"
        assert (dead.type, dead.content_type) == (type_, content_type)
        assert handled.ids == ["next"]
        queue = await channel.get_queue(names.commands_queue(region))
        assert await queue.get(fail=False) is None


async def test_results_are_performed_before_the_message_is_acknowledged(broker: RabbitMq) -> None:
    region = fresh_region()
    again = replace(command_for(region, "b"), progress=a_progress())
    parked = command_for(region, "c")
    given_up = Reason(code=ReasonCode.bad_answer, detail="given up " + "x" * 900)
    handled = Handled(
        lambda command: (
            (Delay(item=again, after=timedelta(seconds=1)), DeadLetter(item=parked, reason=given_up))
            if command.drain_id == "a"
            else ()
        )
    )
    async with (
        an_outbox(broker, region) as outbox,
        kept_up(a_consumer(broker, region, outbox, handled).link),
        a_channel(broker) as channel,
    ):
        await outbox.send(command_for(region, "a"))
        await handled.until("b")
        dead = await next_of(channel, names.dead_queue(region))
        assert decode_item(dead.body, type_=dead.type, content_type=dead.content_type) == parked
        assert str(dead.headers["x-reason"]).startswith("given up")
        assert len(str(dead.headers["x-reason"])) <= 500
        assert dead.headers["x-reason-code"] == "bad_answer"
    assert handled.ids == ["a", "b"]


async def test_events_land_in_the_stream_in_their_order(broker: RabbitMq) -> None:
    region = fresh_region()
    command = command_for(region)
    events = [
        make_event(command, outcome, NOON, reason=a_reason(region))
        for outcome in (Outcome.requested, Outcome.out_of_service, Outcome.removed)
    ] * 20
    read: list[AbstractIncomingMessage] = []

    async def note(message: AbstractIncomingMessage) -> None:
        await message.ack()
        if region.encode() in message.body:
            read.append(message)

    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        for event in events:
            await outbox.record(event)
        await channel.set_qos(prefetch_count=100)
        stream = await channel.get_queue(names.EVENTS)
        await stream.consume(note, arguments={"x-stream-offset": "first"})
        for _ in range(200):
            if len(read) == len(events):
                break
            await asyncio.sleep(0.05)
    assert [message.message_id for message in read] == [event.event_id for event in events]
    assert {(message.type, message.content_type) for message in read} == {(EVENT_TYPE, CONTENT_TYPE)}


async def test_many_publishes_at_once_are_all_confirmed(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region, timeout=20) as outbox, a_channel(broker) as channel:
        await asyncio.gather(*(outbox.send(command_for(region, f"d-{number}")) for number in range(1000)))
        queue = await channel.declare_queue(names.commands_queue(region), passive=True)
        assert queue.declaration_result.message_count == 1000
