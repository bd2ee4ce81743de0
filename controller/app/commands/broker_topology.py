"""``topology``: what is on the broker, what is missing there, and what waits for regions that nobody has any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiormq.exceptions import ChannelAccessRefused

from controller.app.assembly import event_log, open_outbox, read_log
from controller.domain.addressing import is_region_name
from controller.domain.events import LogEntry
from controller.domain.printable import printable
from controller.domain.topology_state import PartState, TopologyPart
from controller.errors import BrokerError, SettingsError
from controller.ops.answers import json_text, topology_part_answer
from controller.ops.tables import counted, topology_table
from controller.rabbit import names
from controller.rabbit.link import as_broker_error, connect
from controller.rabbit.region_mover import MoveResult, RegionMover
from controller.rabbit.spare_channel import SpareChannel
from controller.rabbit.topology import QueueDeclaration, count_messages, declare, topology
from controller.rabbit.topology_survey import abandoned_queues, survey, unrouted_regions
from controller.settings import Settings
from controller.signals import beside
from controller.terminal import report, terminal_width


async def show(settings: Settings, *, as_json: bool) -> int:
    """Print how each part is found; return the exit status."""
    parts = await _survey(settings)
    if as_json:
        for part in parts:
            print(json_text(topology_part_answer(part)))
    else:
        print(topology_table(parts, width=terminal_width()), end="")
    report(f"{len(parts)} parts: {counted(part.state.value for part in parts)}")
    wrong = sum(part.state.is_wrong for part in parts)
    if any(part.state is PartState.missing for part in parts):
        report("what is missing is declared by: eureka-drain topology declare")
    for region in sorted({part.detail for part in parts if part.state is PartState.abandoned and part.messages}):
        report(f"what waits for {region} is moved by: eureka-drain topology move --from {region} --to REGION")
    return 1 if wrong else 0


async def declare_all(settings: Settings) -> int:
    """Declare everything, and report what was missing; return the exit status."""
    things = topology(settings.regions, events_kept=settings.broker.events_kept)
    async with _asking(settings) as channel:
        before = await survey(channel, things)
        allowed = await declare(channel, things)
    for part in before:
        if part.state is PartState.missing:
            print(f"declared {part.kind.value} {part.name}")
    if not allowed:
        report("all of it is there; this user may not declare, so its arguments and bindings were not compared")
        return 1
    missing = sum(part.state is PartState.missing for part in before)
    report(f"{missing} of {len(before)} parts were missing; all of them are there now")
    return 0


async def move(settings: Settings, source: str, target: str) -> int:
    """Move what waits for one region to another one; return the exit status."""
    if not is_region_name(source):
        raise SettingsError([f"--from {source[:63]}: this cannot be a region's name"])
    if source in settings.regions:
        raise SettingsError([f"--from {source}: the settings have this region, and its worker takes what waits for it"])
    if target not in settings.regions:
        known = ", ".join(settings.regions) or "(none)"
        raise SettingsError([f"--to {target}: no such region in the settings; known: {known}"])
    done = await _move(settings, source, target)
    for item in done.moved:
        print(f"{item.drain_id}  {printable(item.pod.key)}")
    for line in done.left:
        report(f"left where it is: {line}")
    report(f"{len(done.moved)} moved from {source} to {target}, {len(done.left)} left")
    report("what still travels in the delay queues arrives later: run this again, for the last time after 2 h 16 min")
    return 1 if done.left else 0


async def _move(settings: Settings, source: str, target: str) -> MoveResult:
    async with AsyncExitStack() as opened:
        outbox = await open_outbox(settings, opened)
        with as_broker_error(f"not everything for {source} was moved; run it again"):
            connection = await opened.enter_async_context(await connect(settings.broker, "topology move"))
            async with SpareChannel(connection) as spare:
                queue = QueueDeclaration(names.commands_queue(source), {})
                there = await count_messages(spare, queue) is not None
            mover = RegionMover(channel=await connection.channel(), outbox=outbox, source=source, target=target)
            if there:
                await mover.move_queue()
            await mover.move_unrouted()
    return mover.result


async def _survey(settings: Settings) -> list[TopologyPart]:
    things = topology(settings.regions, events_kept=settings.broker.events_kept)
    async with _asking(settings) as channel:
        parts = await survey(channel, things)
    return parts + await find_abandoned(settings)


async def find_abandoned(settings: Settings) -> list[TopologyPart]:
    """Return the queues of regions that the settings no longer name: AMQP lists none, so the log is asked for them.

    Which regions have ever stood in it, or in the keys of what is unrouted.
    """
    regions = await _past_regions(settings)
    try:
        async with _asking(settings) as channel:
            regions |= await unrouted_regions(channel)
    except BrokerError as error:
        if isinstance(error.__cause__, ChannelAccessRefused):  # docs/permissions.md gives that right to few
            report("what is unrouted was not looked at: of the roles only topology and the workers may")
        else:
            report(f"what is unrouted is not known: {error}")
    async with _asking(settings) as channel:
        return await abandoned_queues(channel, regions - {*settings.regions})


async def _past_regions(settings: Settings) -> set[str]:
    known = [f'"region":"{name}"'.encode() for name in settings.regions]
    found: set[str] = set()

    def note(entry: LogEntry) -> None:
        if is_region_name(entry.region):
            found.add(entry.region)

    def is_of_another(body: bytes) -> bool:
        return not any(mark in body for mark in known)

    log = event_log(settings, look_back=settings.broker.events_kept, wanted=is_of_another)
    log.readers.append(note)
    async with beside(log.link.run):
        try:
            await read_log(log)
        except BrokerError as error:
            report(f"regions of the past are not known: {error}")
    return found


@asynccontextmanager
async def _asking(settings: Settings) -> AsyncIterator[SpareChannel]:
    """Open a channel for questions. BrokerError when the broker does not answer them."""
    with as_broker_error("the broker cannot be asked"):
        async with await connect(settings.broker, "topology") as connection, SpareChannel(connection) as channel:
            yield channel
