"""Looking at what is on the broker of our topology: nothing is made, and nothing is left changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

from controller.bounds import MAX_UNROUTED
from controller.domain.addressing import is_region_name
from controller.domain.diagnostics import Check, Severity
from controller.domain.region_state import QueueState
from controller.domain.topology_state import PartKind, PartState, TopologyPart
from controller.rabbit.broker_checks import AREA
from controller.rabbit.counts import counted
from controller.rabbit.names import UNROUTED, commands_queue, dead_queue
from controller.rabbit.spare_channel import SpareChannel
from controller.rabbit.topology import (
    BindingDeclaration,
    Declaration,
    ExchangeDeclaration,
    QueueDeclaration,
    count_messages,
    declare_one,
)
from controller.rabbit.unrouted import region_of


async def survey(channel: SpareChannel, things: Sequence[Declaration]) -> list[TopologyPart]:
    """Return how each of these is found."""
    missing: set[str] = set()
    parts = []
    for thing in things:
        if isinstance(thing, BindingDeclaration):
            parts.append(_binding(thing, missing))
            continue
        part = await _look(channel, thing)
        if part.state is PartState.missing:
            missing.add(thing.name)
        parts.append(part)
    return parts


async def _look(channel: SpareChannel, thing: ExchangeDeclaration | QueueDeclaration) -> TopologyPart:
    kind = kind_of(thing)
    messages = await count_messages(channel, thing)
    if messages is None:
        return TopologyPart(kind=kind, name=thing.name, state=PartState.missing)
    state, detail = PartState.present, ""
    try:
        await channel.ask(partial(declare_one, thing))  # the broker compares, and changes nothing
    except ChannelPreconditionFailed as error:
        state, detail = PartState.different, str(error)
    except ChannelAccessRefused:
        detail = "not compared: this user may not declare it"
    count = None if kind is PartKind.exchange else messages
    return TopologyPart(kind=kind, name=thing.name, state=state, messages=count, detail=detail)


def _binding(thing: BindingDeclaration, missing: set[str]) -> TopologyPart:
    state = PartState.missing if {thing.source, thing.target} & missing else PartState.unknown
    return TopologyPart(kind=PartKind.binding, name=name_of(thing), state=state)


def kind_of(thing: Declaration) -> PartKind:
    """Return what a declaration declares."""
    if isinstance(thing, BindingDeclaration):
        return PartKind.binding
    if isinstance(thing, ExchangeDeclaration):
        return PartKind.exchange
    return PartKind.stream if thing.arguments["x-queue-type"] == "stream" else PartKind.queue


def name_of(thing: Declaration) -> str:
    """Return its name; a binding has none of its own."""
    if isinstance(thing, BindingDeclaration):
        return f"{thing.source} -> {thing.target} ({thing.key or 'everything'})"
    return thing.name


async def abandoned_queues(channel: SpareChannel, regions: Iterable[str]) -> list[TopologyPart]:
    """Return the queues that are there of these regions, unless somebody consumes them."""
    found = []
    for region in sorted(regions):
        queues = [(name, await _counted(channel, name)) for name in (commands_queue(region), dead_queue(region))]
        if any(state is not None and state.consumers for _, state in queues):
            continue
        found += [
            TopologyPart(
                kind=PartKind.queue, name=name, state=PartState.abandoned, messages=state.messages, detail=region
            )
            for name, state in queues
            if state is not None
        ]
    return found


async def _counted(channel: SpareChannel, name: str) -> QueueState | None:
    try:
        return await channel.ask(lambda open_channel: counted(open_channel, name))
    except ChannelNotFoundEntity:
        return None


async def unrouted_regions(channel: SpareChannel) -> set[str]:
    """Return the regions that unrouted messages are for. They are put back when the channel ends."""
    if await count_messages(channel, QueueDeclaration(UNROUTED, {})) is None:
        return set()
    found: set[str] = set()
    queue = await channel.ask(lambda open_channel: open_channel.get_queue(UNROUTED, ensure=False))
    for _ in range(MAX_UNROUTED):
        message = await queue.get(fail=False)
        if message is None:
            break
        found.add(region_of(message))
    return {name for name in found if is_region_name(name)}


def check_abandoned(parts: Sequence[TopologyPart]) -> list[Check]:
    """Name the queues in which something waits for a region that is no more."""
    checks = []
    for part in parts:
        region = part.detail
        if not part.messages:
            continue
        found = f"{part.messages} messages for the region {region}, which the settings do not name and nobody consumes"
        fix = f"move them: eureka-drain topology move --from {region} --to REGION"
        if part.name == dead_queue(region):
            fix = f"name the region in the settings once more, and see: eureka-drain dead --region {region}"
        what = f"queue {part.name}"
        checks.append(Check(area=AREA, what=what, severity=Severity.advice, found=found, fix=fix))
    return checks
