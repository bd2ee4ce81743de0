"""Each role's part at the broker, done by the product's own code as some user; BrokerError when it may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from aio_pika.abc import AbstractChannel

from controller.domain.events import Outcome, make_event
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.sweep_report import SweepReport
from controller.domain.watch_position import Position
from controller.errors import BrokerError
from controller.messages.codec import decode_end, decode_entry, decode_position
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.counts import QueueCounter
from controller.rabbit.dead_letter_queue import RabbitDeadLetterQueue
from controller.rabbit.link import Link, as_broker_error
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.stream import StreamFollower
from controller.rabbit.topology_keeper import TopologyKeeper
from controller.settings import BrokerSettings
from tests.contract.brokers import Handled, command_for
from tests.stack.waiting import until
from tests.unit.building import a_reason

REGIONS = ("eu", "us")
Part = Callable[[BrokerSettings], Awaitable[None]]


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def up(link: Link) -> AsyncIterator[None]:
    """A link that is up, or BrokerError with what stands in its way."""
    running = asyncio.create_task(link.run())
    try:
        await until(lambda: link.up or link.trouble, "a link, or its trouble", interval=0.02)
        if not link.up:
            raise BrokerError(link.trouble)
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def an_outbox(settings: BrokerSettings, *regions: str) -> AsyncIterator[RabbitOutbox]:
    """What has declared these regions, and records."""
    outbox = RabbitOutbox(settings=settings, regions=regions)
    async with up(outbox.link):
        if outbox.topology.trouble:
            raise BrokerError(outbox.topology.trouble)
        await outbox.record(make_event(command_for(regions[0]), Outcome.requested, now()))
        yield outbox


@asynccontextmanager
async def events(settings: BrokerSettings) -> AsyncIterator[None]:
    """The event log, followed."""
    log = StreamFollower(
        settings=settings, stream=names.EVENTS, decode=decode_entry, look_back=timedelta(hours=1), clock=now
    )
    async with up(log.link):
        yield


@asynccontextmanager
async def ends(settings: BrokerSettings) -> AsyncIterator[None]:
    """The pods' ends, followed."""
    log = StreamFollower(
        settings=settings, stream=names.ENDS, decode=decode_end, look_back=timedelta(hours=1), clock=now
    )
    async with up(log.link):
        yield


def an_end() -> PodEnd:
    command = command_for(REGIONS[0])
    return PodEnd(
        cluster=command.cluster,
        drain_ids=(command.drain_id,),
        namespace=command.pod.namespace,
        pod=command.pod.name,
        uid=command.pod.uid,
        kind="Deployment",
        workload="orders",
        at=now(),
        ended_at=now(),
    )


async def keep_topology(settings: BrokerSettings) -> None:
    """Declare everything, and look again."""

    async def declare_all(_: AbstractChannel) -> None:
        await keeper.declare_all()

    link = Link(name="topology", settings=settings, set_up=declare_all)
    keeper = TopologyKeeper(link=link, settings=settings, regions=REGIONS)
    async with up(link):
        if keeper.trouble:
            raise BrokerError(keeper.trouble)
        await keeper.declare_missing()


async def watch(settings: BrokerSettings) -> None:
    """Command every region, note the position, report a pod's end, follow all streams."""
    positions = StreamFollower(
        settings=settings, stream=names.POSITIONS, decode=decode_position, look_back=timedelta(hours=1), clock=now
    )
    async with an_outbox(settings, *REGIONS) as outbox, events(settings), ends(settings), up(positions.link):
        for region in REGIONS:
            await outbox.send(command_for(region))
        await outbox.publish_end(an_end())
        await outbox.record_position(Position(cluster="default", at=now(), versions={"": "1"}))


async def work(settings: BrokerSettings, region: str) -> None:
    """Consume a command, postpone it, give it up; bring back what is unrouted, and leave another region's there."""
    handled = Handled()
    async with AsyncExitStack() as opened:
        outbox = await opened.enter_async_context(an_outbox(settings, region))
        await opened.enter_async_context(events(settings))
        consumer = RegionConsumer(settings=settings, region=region, prefetch=10, outbox=outbox, handle=handled)
        await opened.enter_async_context(up(consumer.link))
        await outbox.send(command_for(region))
        await handled.until("drain-1")
        await outbox.postpone(command_for(region), timedelta(seconds=1))
        await outbox.postpone(command_for(region), timedelta(hours=2))
        await outbox.proceed(command_for(region))
        await outbox.dead_letter(region, command_for(region), a_reason("given up"))
        (other,) = [one for one in REGIONS if one != region]
        # As if they had come before the region's queue: by the alternate exchange.
        for one in (region, other):
            await outbox._publish(names.UNROUTED, one, b"{}", None, None)
        with as_broker_error("not fetched"):
            await consumer._bring_back(0)


async def ops(settings: BrokerSettings) -> None:
    """Replay, look at dead letters and take one out, count, follow both streams."""
    counter = QueueCounter(settings)
    async with an_outbox(settings, *REGIONS) as outbox, events(settings), ends(settings), up(counter.link):
        for region in REGIONS:
            await outbox.send(command_for(region))
            await counter.count(region)
            async with RabbitDeadLetterQueue(settings=settings, region=region) as letters:
                await letters.hold()


async def sweep_report(settings: BrokerSettings) -> None:
    """Read the event log, and append what was found."""
    async with an_outbox(settings, *REGIONS) as outbox, events(settings):
        await outbox.record_sweep(SweepReport(cluster="test", region=REGIONS[0], at=datetime.now(UTC)))


async def sweep_drain(settings: BrokerSettings) -> None:
    """The same, and command every region."""
    await sweep_report(settings)
    async with an_outbox(settings, *REGIONS) as outbox:
        for region in REGIONS:
            await outbox.send(command_for(region))


async def reader(settings: BrokerSettings) -> None:
    """Read the event log and the pods' ends, and count dead letters."""
    counter = QueueCounter(settings)
    async with events(settings), ends(settings), up(counter.link):
        await counter.count(REGIONS[0])


async def work_eu(settings: BrokerSettings) -> None:
    """The region's."""
    await work(settings, "eu")


async def work_us(settings: BrokerSettings) -> None:
    """The region's."""
    await work(settings, "us")


PARTS: dict[str, Part] = {
    "topology": keep_topology,
    "watch": watch,
    "work-eu": work_eu,
    "work-us": work_us,
    "ops": ops,
    "operator": ops,
    "sweep-report": sweep_report,
    "sweep-drain": sweep_drain,
    "reader": reader,
}
