"""Whatever somebody deletes on the real broker is declared again by a running process, and nothing is restarted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from controller.domain.events import Outcome, make_event
from controller.domain.watch_position import Position
from controller.rabbit import delay, names, topology_keeper
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.topology import (
    BindingDeclaration,
    Declaration,
    ExchangeDeclaration,
    QueueDeclaration,
    topology,
)
from controller.signals import beside
from tests.contract.brokers import (
    Handled,
    a_channel,
    a_consumer,
    an_outbox,
    command_for,
    kept_up,
    next_of,
    until_confirmed,
)
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_reason
from tests.unit.shutdowns import an_end

REGION = "eu"
LEVELS = {names.delay_level(level) for level in range(delay.LEVELS)}
TRIED_LEVELS = {names.delay_level(level) for level in (0, 7, delay.LEVELS - 1)}
"""The others are like these."""
THINGS = [
    thing for thing in topology([REGION], events_kept=timedelta(days=30)) if thing.name not in LEVELS - TRIED_LEVELS
]


@pytest.fixture(name="broker")
def vhost_of_our_own(empty_broker: RabbitMq) -> RabbitMq:
    return empty_broker


def now() -> datetime:
    return datetime.now(UTC)


def name_of(thing: Declaration) -> str:
    """For people who read the tests' names."""
    match thing:
        case ExchangeDeclaration(name):
            return f"exchange {name}"
        case QueueDeclaration(name):
            return f"queue {name}"
        case BindingDeclaration(source, key, target):
            return f"binding {source} to {target} by {key[-6:]}"


async def delete(broker: RabbitMq, thing: Declaration) -> None:
    """As somebody does by hand."""
    async with a_channel(broker) as channel:
        match thing:
            case ExchangeDeclaration(name):
                await channel.exchange_delete(name)
            case QueueDeclaration(name):
                await channel.queue_delete(name)
            case BindingDeclaration(source, key, target, to_exchange):
                if to_exchange:
                    await (await channel.get_exchange(target)).unbind(source, key)
                else:
                    await (await channel.get_queue(target)).unbind(source, key)


async def everything(broker: RabbitMq) -> dict[str, list[str]]:
    """All that the broker has in its virtual host."""
    found = await broker.call("GET", "definitions", "empty")
    return {kind: sorted(map(str, found[kind])) for kind in ("exchanges", "queues", "bindings")}


@asynccontextmanager
async def looking(monkeypatch: pytest.MonkeyPatch, outbox: RabbitOutbox) -> AsyncIterator[None]:
    """The regular looks, more often than for real."""
    monkeypatch.setattr(topology_keeper, "LOOK_INTERVAL", 1.0)
    async with beside(outbox.topology.run):
        yield


def test_a_look_that_nobody_asks_for_comes_in_time() -> None:
    assert topology_keeper.LOOK_INTERVAL <= 10


@pytest.mark.parametrize("thing", THINGS, ids=name_of)
async def test_what_is_deleted_is_declared_again(
    broker: RabbitMq, monkeypatch: pytest.MonkeyPatch, thing: Declaration
) -> None:
    async with an_outbox(broker, REGION) as outbox:
        before = await everything(broker)
        await delete(broker, thing)
        assert await everything(broker) != before
        async with looking(monkeypatch, outbox):

            async def is_as_before() -> bool:
                return await everything(broker) == before

            await until(is_as_before, f"{name_of(thing)} again", timeout=15)


async def write(outbox: RabbitOutbox, stream: str) -> None:
    """One entry; BrokerError when it was not confirmed."""
    if stream == names.EVENTS:
        await outbox.record(make_event(command_for(REGION), Outcome.requested, now()))
    elif stream == names.ENDS:
        await outbox.publish_end(an_end(1))
    else:
        await outbox.record_position(Position(cluster="c", at=now(), versions={}))


@pytest.mark.parametrize("stream", [names.EVENTS, names.ENDS, names.POSITIONS])
async def test_what_is_written_to_a_deleted_stream_is_in_the_new_one(broker: RabbitMq, stream: str) -> None:
    async with an_outbox(broker, REGION) as outbox, a_channel(broker) as channel:
        await channel.queue_delete(stream)
        await asyncio.gather(*(until_confirmed(partial(write, outbox, stream)) for _ in range(20)))
        assert (await channel.declare_queue(stream, passive=True)).name == stream


async def test_a_publish_that_meets_no_queue_is_published_once_more(broker: RabbitMq) -> None:
    async with an_outbox(broker, REGION) as outbox, a_channel(broker) as channel:
        for queue in (names.dead_queue(REGION), names.delay_level(1), names.delay_level(0), names.UNROUTED):
            await channel.queue_delete(queue)
        await outbox.dead_letter(REGION, command_for(REGION), a_reason("given up"))
        await next_of(channel, names.dead_queue(REGION))
        # Two seconds, and one: both levels are new, and the command comes.
        await outbox.postpone(command_for(REGION), timedelta(seconds=3))
        await next_of(channel, names.commands_queue(REGION))
        await outbox.send(command_for("r-that-nobody-has"))
        assert (await next_of(channel, names.UNROUTED)).routing_key == "r-that-nobody-has"


@pytest.mark.parametrize(
    ("source", "key"), [(names.COMMANDS, REGION), (names.DELAY_OUT, f"#.{REGION}")], ids=["fresh", "postponed"]
)
async def test_what_came_while_a_binding_was_gone_is_brought_back(
    broker: RabbitMq, monkeypatch: pytest.MonkeyPatch, source: str, key: str
) -> None:
    monkeypatch.setattr("controller.rabbit.consumer.FIRST_INTERVALS", ())
    monkeypatch.setattr("controller.rabbit.consumer.BRING_BACK_INTERVAL", 1.0)
    handled = Handled()
    async with an_outbox(broker, REGION) as outbox:
        consumer = a_consumer(broker, REGION, outbox, handled)
        async with kept_up(consumer.link), beside(consumer.bring_back_unrouted):
            await delete(broker, BindingDeclaration(source, key, names.commands_queue(REGION)))
            await outbox.send(command_for(REGION, "fresh"))
            await outbox.postpone(command_for(REGION, "postponed"), timedelta(seconds=1))
            await asyncio.sleep(2)
            async with looking(monkeypatch, outbox):
                await until(lambda: sorted(handled.ids) == ["fresh", "postponed"], "both", timeout=15)
