"""Doctor's look at the broker: connection, topology as declared, and each permission that a role needs.

Nothing is left changed. What exists is declared once more with our arguments, as every role does at its start: the
broker compares and says what differs. A right to publish is tried inside a transaction that is rolled back: the broker
checks it when the message comes, and routes it only at the commit. A right to consume is tried by a consumer of lowest
priority that ends at once; should a waiting command come to it, it goes back, and counts as one delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import (
    AMQPError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from aiormq.exceptions import ChannelAccessRefused

from controller.domain.diagnostics import Check, Severity, named
from controller.domain.region_state import QueueState
from controller.domain.roles import Role
from controller.rabbit import delay, names
from controller.rabbit.connection_failures import explain_failure, fix_of, in_one_line, version_of
from controller.rabbit.counts import counted
from controller.rabbit.link import BROKER_TROUBLE, connect
from controller.rabbit.topology import (
    BindingDeclaration,
    Declaration,
    ExchangeDeclaration,
    QueueDeclaration,
    declare_one,
    topology,
)
from controller.rabbit.version_checks import look_at_kind, look_at_version
from controller.settings import BrokerSettings

AREA = "broker"
PERMISSIONS = "grant it as docs/permissions.md lists, with: rabbitmqctl set_permissions"
DECLARE = "as an administrator, or by the component topology-keeper: eureka-drain topology declare"
_IMPOSSIBLE: dict[str, Any] = {"x-queue-type": "quorum", "x-message-ttl": "never"}
"""The broker looks at permissions first, and then refuses this: so nothing is declared."""
_LAST = -1_000
"""A consumer's priority."""


async def inspect(settings: BrokerSettings, *, regions: Sequence[str], roles: Sequence[Role]) -> list[Check]:
    """Look at everything that these roles need for these regions; without any, at what a reader of the log needs."""
    try:
        connection = await connect(settings, "doctor")
    except Exception as error:  # whatever the library met: a person wants to hear of it
        return [
            Check(
                area=AREA, what="connection", severity=Severity.wrong, found=explain_failure(error), fix=fix_of(error)
            )
        ]
    inspection = _Inspection(connection, settings)
    async with connection:
        version = version_of(connection)
        checks = [Check(area=AREA, what="connection", severity=Severity.ok, found=version)]
        checks += look_at_version(AREA, version) + look_at_kind(AREA, settings.urls)
        checks += await _look_at_hosts(settings)
        things = topology(regions, events_kept=settings.events_kept)
        if roles:
            checks += await inspection.look_at_topology(things)
            checks += await inspection.look_at_publishing(_published_to(roles))
        checks += await inspection.look_at_consuming(_consumed_from(roles, regions))
        if roles:
            checks += await inspection.look_at_queues(regions)
    return checks


async def _look_at_hosts(settings: BrokerSettings) -> list[Check]:
    """Connect to each of several hosts: the second one is missed only when the first is down."""
    checks = []
    for host in settings.hosts if len(settings.hosts) > 1 else ():
        what = f"host {host}"
        try:
            async with await connect(settings.model_copy(update={"hosts": [host]}), "doctor") as connection:
                checks.append(Check(area=AREA, what=what, severity=Severity.ok, found=version_of(connection)))
        except Exception as error:  # whatever the library met, as above
            found = explain_failure(error)
            checks.append(Check(area=AREA, what=what, severity=Severity.wrong, found=found, fix=fix_of(error)))
    return checks


def _published_to(roles: Sequence[Role]) -> list[str]:
    """Return the exchanges; the empty name is the default one, by which streams are written."""
    found: list[str] = []
    if {Role.watch, Role.ops, Role.sweep} & {*roles}:
        found += [names.COMMANDS, ""]
    if Role.work in roles:
        levels = [names.delay_level(level) for level in range(delay.LEVELS)]
        found += [names.COMMANDS, names.UNROUTED, names.DEAD, *levels, ""]
    return list(dict.fromkeys(found))


def _consumed_from(roles: Sequence[Role], regions: Sequence[str]) -> list[str]:
    found = [names.EVENTS]
    if {Role.watch, Role.ops} & {*roles}:
        found.append(names.ENDS)
    if Role.watch in roles:
        found.append(names.POSITIONS)
    if Role.work in roles:
        found += [names.UNROUTED, *(names.commands_queue(region) for region in regions)]
    if Role.ops in roles:
        found += [names.dead_queue(region) for region in regions]
    return found


class _Inspection:
    """Over one connection; each question on a channel of its own, since a refusal ends its channel."""

    def __init__(self, connection: AbstractConnection, settings: BrokerSettings) -> None:
        self._connection = connection
        self._timeout = settings.timeout.total_seconds()
        self._missing: set[str] = set()
        """Queues and exchanges that are not there."""

    @asynccontextmanager
    async def _channel(self, *, confirms: bool = True) -> AsyncIterator[AbstractChannel]:
        channel = await self._connection.channel(publisher_confirms=confirms)
        try:
            async with asyncio.timeout(self._timeout):
                yield channel
        finally:
            if not channel.is_closed:
                await channel.close()

    async def look_at_topology(self, things: Sequence[Declaration]) -> list[Check]:
        """Compare each part with ours."""
        different: list[Check] = []
        refused: list[str] = []
        for thing in things:
            try:
                if isinstance(thing, BindingDeclaration):
                    if {thing.source, thing.target} & self._missing:
                        continue
                elif not await self._exists(thing.name, exchange=isinstance(thing, ExchangeDeclaration)):
                    self._missing.add(thing.name)
                    if isinstance(thing, QueueDeclaration):
                        await self._try_to_configure(thing)
                    continue
                if refused:
                    continue
                async with self._channel() as channel:
                    await declare_one(thing, channel)
            except ChannelPreconditionFailed as error:
                different.append(_different(thing, error))
            except ChannelAccessRefused as error:
                refused.append(in_one_line(error))
            except BROKER_TROUBLE as error:
                return [
                    Check(
                        area=AREA,
                        what="topology",
                        severity=Severity.wrong,
                        found=explain_failure(error),
                        fix=fix_of(error),
                    )
                ]
        checks = [*different]
        if self._missing and refused:
            found = f"missing, and this user may not declare it: {named(sorted(self._missing))} ({refused[0]})"
            checks.append(Check(area=AREA, what="topology", severity=Severity.wrong, found=found, fix=DECLARE))
        elif self._missing:
            found = f"not declared yet: {named(sorted(self._missing))}; the first role that starts declares them"
            checks.append(Check(area=AREA, what="topology", severity=Severity.advice, found=found))
        elif not different:
            found = f"{sum(not isinstance(thing, BindingDeclaration) for thing in things)} queues and exchanges as ours"
            if refused:
                found = "everything is there; this user may not declare, so arguments and bindings are not compared"
            checks.append(Check(area=AREA, what="topology", severity=Severity.ok, found=found))
        return checks

    async def _exists(self, name: str, *, exchange: bool = False) -> bool:
        async with self._channel() as channel:
            try:
                if exchange:
                    await channel.declare_exchange(name, passive=True)
                else:
                    await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                return False
        return True

    async def _try_to_configure(self, queue: QueueDeclaration) -> None:
        """Raise ChannelAccessRefused when a missing queue may not be declared; declares nothing."""
        async with self._channel() as channel:
            try:
                await channel.declare_queue(queue.name, durable=True, arguments=_IMPOSSIBLE)
            except ChannelPreconditionFailed:
                return

    async def look_at_publishing(self, exchanges: Sequence[str]) -> list[Check]:
        """Try to publish to each, inside a transaction that is rolled back."""

        async def publish(name: str) -> None:
            async with self._channel(confirms=False) as channel:
                transaction = channel.transaction()
                await transaction.select()
                exchange = channel.default_exchange if not name else await channel.get_exchange(name, ensure=False)
                await exchange.publish(Message(b"doctor"), names.EVENTS if not name else "doctor", mandatory=False)
                await transaction.rollback()

        there = [name for name in exchanges if name not in self._missing]
        refused = await self._refusals(there, publish)
        return _rights("may publish", refused, asked=len(there), all_asked=len(exchanges))

    async def look_at_consuming(self, queues: Sequence[str]) -> list[Check]:
        """Try to consume from each, for a moment."""

        async def consume(name: str) -> None:
            async with self._channel() as channel:
                await channel.set_qos(prefetch_count=1)
                queue = await channel.get_queue(name, ensure=False)
                stream = name in (names.EVENTS, names.ENDS, names.POSITIONS)
                arguments: dict[str, Any] = {"x-stream-offset": "next"} if stream else {"x-priority": _LAST}
                await queue.cancel(await queue.consume(_leave, arguments=arguments))

        there = [name for name in queues if name not in self._missing and await self._exists(name)]
        refused = await self._refusals(there, consume)
        return _rights("may consume", refused, asked=len(there), all_asked=len(queues))

    async def _refusals(self, subjects: Sequence[str], attempt: Callable[[str], Awaitable[None]]) -> list[str]:
        refused = []
        for name in subjects:
            try:
                await attempt(name)
            except (ChannelAccessRefused, ChannelInvalidStateError, AMQPError, TimeoutError) as error:
                refused.append(
                    in_one_line(error) if isinstance(error, ChannelAccessRefused) else f"{name}: {in_one_line(error)}"
                )
        return refused

    async def look_at_queues(self, regions: Sequence[str]) -> list[Check]:
        """Count what waits, who consumes, and what was given up."""
        checks = []
        for region in regions:
            work = await self._count(names.commands_queue(region))
            dead = await self._count(names.dead_queue(region))
            if work is None or dead is None:
                continue
            found = f"{work.messages} waiting, {work.consumers} consumers, {dead.messages} dead letters"
            severity, fix = Severity.ok, ""
            if dead.messages:
                severity, fix = Severity.advice, f"see: eureka-drain dead --region {region}"
            if not work.consumers:
                severity, fix = Severity.advice, f"nobody consumes: start eureka-drain work --region {region}"
            checks.append(Check(area=AREA, what=f"queue of {region}", severity=severity, found=found, fix=fix))
        unrouted = await self._count(names.UNROUTED)
        if unrouted and unrouted.messages:
            found = f"{unrouted.messages} commands for regions whose queue nobody has declared"
            fix = "start a worker for the region, correct the pods' eureka.drain/region, or see: eureka-drain topology"
            checks.append(Check(area=AREA, what=names.UNROUTED, severity=Severity.advice, found=found, fix=fix))
        return checks

    async def _count(self, name: str) -> QueueState | None:
        if name in self._missing:
            return None
        async with self._channel() as channel:
            return await counted(channel, name)


async def _leave(_: AbstractIncomingMessage) -> None:
    """Leave what comes: it is not acknowledged, and goes back when the channel ends."""


def _rights(what: str, refused: Sequence[str], *, asked: int, all_asked: int) -> list[Check]:
    if refused:
        return [Check(area=AREA, what=what, severity=Severity.wrong, found=one, fix=PERMISSIONS) for one in refused]
    if not asked and all_asked:
        return [Check(area=AREA, what=what, severity=Severity.skipped, found="there is nothing yet to try it on")]
    return [Check(area=AREA, what=what, severity=Severity.ok)]


def _different(thing: Declaration, error: Exception) -> Check:
    return Check(
        area=AREA,
        what=f"{'exchange' if isinstance(thing, ExchangeDeclaration) else 'queue'} {thing.name}",
        severity=Severity.wrong,
        found=f"it exists with other arguments: {in_one_line(error)}",
        fix="move its messages (a shovel), delete it, and start a role: it is declared anew. For drain.events and "
        "drain.ends only x-max-age may differ because broker.events_kept was changed: set it back, or delete both",
    )
