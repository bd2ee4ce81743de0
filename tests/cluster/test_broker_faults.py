"""Three brokers under load, of which some are killed, paused or parted: what was confirmed is there in the end.

The load is ours: commands and events by the product's own outbox, read by its own consumer, in a virtual host apart.
BROKER_RUNS says how often, a trouble each; BROKER_SECONDS how long a broker is paused or parted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import aio_pika
import pytest
from pydantic import SecretStr

from controller.domain.commands import WorkItem
from controller.domain.events import Outcome, make_event
from controller.errors import BrokerError
from controller.flows.handler_result import Ack, HandlerResults
from controller.messages.codec import decode_entry
from controller.messages.groups import parts_of
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings
from tests.cluster.brokers import BROKERS, leader_of, own_vhost, parted, paused, send_signal
from tests.cluster.ending import Table
from tests.cluster.home import INFRA
from tests.cluster.scene import Scene
from tests.contract.brokers import command_for, kept_up
from tests.stack.waiting import until

RUNS = int(os.environ.get("BROKER_RUNS", "5"))
SECONDS = float(os.environ.get("BROKER_SECONDS", "30"))
VHOST, REGION = "load", "load"
AT_ONCE = 8
"""Senders; each sends a command and an event, waits for both to be confirmed, and goes on."""
PAUSE = 0.05
"""Seconds between two sendings of one sender."""
pytestmark = pytest.mark.timeout(int(RUNS * (SECONDS + 300)))
Trouble = Callable[[Scene], Awaitable[None]]


@dataclass
class Load:
    """What was sent and confirmed, and what was read."""

    settings: BrokerSettings
    confirmed: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    handled: set[str] = field(default_factory=set)
    unconfirmed: int = 0
    confirmed_at: float = field(default_factory=time.monotonic)
    longest_gap: float = 0.0
    """Seconds without a command that is confirmed."""
    is_over: bool = False
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def handle(self, item: WorkItem, redelivered: bool) -> HandlerResults:
        """Take a command, as a worker does."""
        self.handled.add(item.drain_id)
        return (Ack(),)

    async def send(self, outbox: RabbitOutbox) -> None:
        """Send one after the other; what is not confirmed counts as never sent."""
        while not self.is_over:
            command = command_for(REGION, f"drain-{next(self._numbers)}")
            try:
                await outbox.send(command)
                self.confirmed.add(command.drain_id)
                self._note()
                await outbox.record(make_event(command, Outcome.requested, command.observed_at))
                self.recorded.add(command.drain_id)
            except BrokerError:
                self.unconfirmed += 1
            await asyncio.sleep(PAUSE)

    def _note(self) -> None:
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self.confirmed_at)
        self.confirmed_at = now

    async def read_log(self) -> set[str]:
        """Read the event log from its beginning until everything that was confirmed is there, or nothing comes."""
        found: set[str] = set()
        async with await aio_pika.connect(self.settings.urls[0].get_secret_value()) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=500)

            async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                found.update(decode_entry(*part).drain_id for part in parts_of(message.body, message.type))
                await message.ack()

            queue = await channel.get_queue(names.EVENTS, ensure=False)
            await queue.consume(note, arguments={"x-stream-offset": "first"})
            await until(lambda: self.recorded <= found, "every confirmed event", timeout=60)
        return found


async def kill_the_leader(scene: Scene) -> None:
    await send_signal(scene, await leader_of(scene, names.commands_queue(REGION), vhost=VHOST), "SIGKILL")


async def pause_the_leader(scene: Scene) -> None:
    async with paused(scene, await leader_of(scene, names.commands_queue(REGION), vhost=VHOST)):
        await asyncio.sleep(SECONDS)


async def part_the_leader(scene: Scene) -> None:
    async with parted(scene, await leader_of(scene, names.commands_queue(REGION), vhost=VHOST)):
        await asyncio.sleep(SECONDS)


async def kill_most(scene: Scene) -> None:
    await asyncio.gather(*(send_signal(scene, broker, "SIGKILL") for broker in BROKERS[1:]))


async def restart_all_in_turn(scene: Scene) -> None:
    await scene.kubectl("-n", INFRA, "rollout", "restart", "statefulset/rabbitmq")
    await scene.rolled_out(INFRA, "statefulset/rabbitmq")


TROUBLES: dict[str, Trouble] = {
    "the queue's leader killed": kill_the_leader,
    "the queue's leader paused": pause_the_leader,
    "the queue's leader parted from the others": part_the_leader,
    "two of three killed": kill_most,
    "all restarted in turn": restart_all_in_turn,
}


@asynccontextmanager
async def a_load(scene: Scene) -> AsyncIterator[Load]:
    """In a virtual host of its own."""
    service = ("get", "service", "rabbitmq", "-o", "jsonpath={.spec.clusterIP}")
    host, password = await scene.kubectl("-n", INFRA, *service), SecretStr("not-a-secret")
    settings = BrokerSettings(hosts=[host], username=SecretStr("admin"), password=password, vhost=VHOST)
    async with own_vhost(scene, VHOST):
        yield Load(settings)


@pytest.mark.parametrize("number", range(RUNS))
async def test_what_a_broker_has_confirmed_is_never_lost(scene: Scene, table: Table, number: int) -> None:
    way, trouble = list(TROUBLES.items())[number % len(TROUBLES)]
    async with a_load(scene) as load:
        outbox = RabbitOutbox(settings=load.settings, regions=[REGION])
        async with kept_up(outbox.link):
            consumer = RegionConsumer(
                settings=load.settings, region=REGION, prefetch=64, outbox=outbox, handle=load.handle
            )
            async with kept_up(consumer.link):
                load.confirmed_at = time.monotonic()
                senders = [asyncio.create_task(load.send(outbox)) for _ in range(AT_ONCE)]
                await asyncio.sleep(SECONDS / 3)
                await trouble(scene)
                await scene.rolled_out(INFRA, "statefulset/rabbitmq")
                over_at = time.monotonic()
                await until(lambda: load.confirmed_at > over_at, "a command confirmed afterwards", timeout=180)
                await asyncio.sleep(SECONDS / 3)
                load.is_over = True
                await asyncio.gather(*senders)
                await until(lambda: load.confirmed <= load.handled, "every confirmed command handled", timeout=120)
                await load.read_log()
                await consumer.stop(within=timedelta(seconds=1))
    assert len(load.confirmed) > SECONDS, "hardly anything was sent"
    table.add_broker(way, len(load.confirmed), len(load.recorded), load.unconfirmed, load.longest_gap)
