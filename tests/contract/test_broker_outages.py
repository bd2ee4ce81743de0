"""A broker that restarts, hangs, blocks publishers, or loses a queue by hand: afterwards everything works as before."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest

from controller.domain.commands import WorkItem
from controller.errors import BrokerError
from controller.flows.handler_result import Ack, Delay, HandlerResults
from controller.rabbit import names
from controller.rabbit.link import as_broker_error, connect
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.spare_channel import SpareChannel
from controller.settings import BrokerSettings, SecretUrl
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

TIMEOUT = 3.0


async def sent_at_last(outbox: RabbitOutbox, region: str, drain: str, *, timeout: float = 40) -> None:
    """Send as the watch does: until it is confirmed."""

    async def attempt() -> bool:
        try:
            await outbox.send(command_for(region, drain))
        except BrokerError:
            return False
        return True

    await until(attempt, f"{drain} confirmed", timeout=timeout)


async def test_after_a_restart_both_links_are_up_and_the_consumer_consumes(broker: RabbitMq) -> None:
    region = fresh_region()
    handled = Handled()
    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, handled)
        async with kept_up(consumer.link):
            await outbox.send(command_for(region, "before"))
            await handled.until("before")
            await broker.restart()
            await until(lambda: outbox.link.up and consumer.link.up, "both links", timeout=30)
            await sent_at_last(outbox, region, "after")
            await handled.until("after")


async def test_what_was_in_flight_at_a_restart_is_delivered_again_and_marked_so(broker: RabbitMq) -> None:
    region = fresh_region()
    begun, seen = asyncio.Event(), Handled()

    async def hang_the_first_time(command: WorkItem, redelivered: bool) -> HandlerResults:
        await seen(command, redelivered)
        if not redelivered:
            begun.set()
            await asyncio.sleep(30)
        return (Ack(),)

    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, hang_the_first_time)
        async with kept_up(consumer.link):
            await outbox.send(command_for(region, "held"))
            await begun.wait()
            await broker.restart()
            await until(lambda: len(seen.seen) == 2, "delivered again", timeout=30)
            assert [redelivered for _, _, redelivered in seen.seen] == [False, True]
            await consumer.stop(within=timedelta(milliseconds=100))


async def test_a_postponed_command_survives_a_restart(broker: RabbitMq) -> None:
    region = fresh_region()
    handled = Handled()
    async with an_outbox(broker, region) as outbox, kept_up(a_consumer(broker, region, outbox, handled).link):
        await outbox.postpone(command_for(region, "later"), timedelta(seconds=3))
        await broker.restart()
        await handled.until("later", timeout=100)  # the broker tries to dead-letter again after three minutes


async def test_a_queue_that_is_deleted_by_hand_is_declared_again_and_consumed(broker: RabbitMq) -> None:
    region = fresh_region()
    handled = Handled()
    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, handled)
        async with kept_up(consumer.link):
            async with a_channel(broker) as channel:
                await channel.queue_delete(names.commands_queue(region))
            await until(lambda: not consumer.link.up, "noticed", timeout=10, interval=0.01)
            await until(lambda: consumer.link.up, "link up again", timeout=20)
            await sent_at_last(outbox, region, "after")
            await handled.until("after")


async def test_a_queue_deleted_during_a_command_keeps_the_next_message(broker: RabbitMq) -> None:
    region = fresh_region()
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen = Handled()

    async def hang_the_first_time(command: WorkItem, redelivered: bool) -> HandlerResults:
        await seen(command, redelivered)
        if len(seen.seen) > 1:
            return (Ack(),)
        begun.set()
        await go_on.wait()
        return (Delay(item=command, after=timedelta(seconds=1)),)

    async with an_outbox(broker, region) as outbox:
        consumer = a_consumer(broker, region, outbox, hang_the_first_time)
        async with kept_up(consumer.link):
            await outbox.send(command_for(region, "held"))
            await begun.wait()
            async with a_channel(broker) as channel:
                await channel.queue_delete(names.commands_queue(region))
            await until(lambda: not consumer.link.up, "noticed", timeout=10, interval=0.01)
            await until(lambda: consumer.link.up, "link up again", timeout=20)
            go_on.set()
            await until(lambda: len(seen.seen) == 2, "its next step came", timeout=20)


async def test_a_paused_broker_fails_a_send_after_its_timeout_and_recovers(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region, timeout=TIMEOUT) as outbox:
        broker.pause()
        try:
            begun = time.monotonic()
            with pytest.raises(BrokerError):
                await outbox.send(command_for(region, "during"))
            assert TIMEOUT - 0.2 <= time.monotonic() - begun < TIMEOUT + 1
        finally:
            broker.resume()
        await sent_at_last(outbox, region, "after")


async def test_a_memory_alarm_fails_a_send_but_lets_a_consumer_acknowledge(broker: RabbitMq) -> None:
    region = fresh_region()
    handled = Handled()
    async with an_outbox(broker, region, timeout=TIMEOUT) as outbox:
        await outbox.send(command_for(region, "before"))
        await broker.raise_memory_alarm()
        try:
            # The connection is blocked by its first publish after the alarm, which may still get through.
            with suppress(BrokerError):
                await outbox.send(command_for(region, "first"))
            with pytest.raises(BrokerError):
                await outbox.send(command_for(region, "second"))
            async with kept_up(a_consumer(broker, region, outbox, handled).link):
                await handled.until("before")
        finally:
            await broker.clear_memory_alarm()
        await sent_at_last(outbox, region, "after")


async def test_a_link_that_cannot_be_set_up_is_not_up_and_goes_on_trying(broker: RabbitMq) -> None:
    region = fresh_region()
    queue = names.commands_queue(region)
    async with a_channel(broker) as channel, an_outbox(broker) as outbox:
        await channel.declare_queue(queue, durable=True)
        handled = Handled()
        consumer = a_consumer(broker, region, outbox, handled)
        running = asyncio.create_task(consumer.link.run())
        try:
            await asyncio.sleep(2)
            assert not consumer.link.up
            assert not running.done()
            await channel.queue_delete(queue)
            await until(lambda: consumer.link.up, "up at last", timeout=20)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("is_known", [True, False], ids=["by us", "by the broker, a moment ago"])
async def test_a_question_over_a_closed_connection_is_a_broker_error(broker: RabbitMq, is_known: bool) -> None:
    connection = await connect(settings_for(broker), "test")
    if is_known:
        await connection.close()
    else:
        assert connection.transport is not None
        await connection.transport.connection.close()
    with pytest.raises(BrokerError, match="asked"), as_broker_error("asked"):
        async with SpareChannel(connection) as spare:
            await spare.ask(lambda channel: channel.get_exchange("amq.topic"))
    await connection.close()


async def test_a_virtual_host_that_is_not_there_is_named_as_the_trouble(broker: RabbitMq) -> None:
    settings = BrokerSettings(url=SecretUrl(f"{broker.url}nosuch"))
    outbox = RabbitOutbox(settings=settings, regions=[])
    running = asyncio.create_task(outbox.link.run())
    try:
        await until(lambda: outbox.link.trouble, "the trouble")
        assert outbox.link.trouble.startswith("the virtual host does not exist, or the user may not use it: check ")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
