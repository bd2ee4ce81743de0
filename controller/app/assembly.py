"""From settings to the parts that more than one command is built of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.app.memory import memory_limit
from controller.bounds import index_room
from controller.domain.events import LogEntry
from controller.domain.guard_policy import GuardPolicy
from controller.domain.pods import Pod
from controller.domain.routing import Routing
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.window import Window, WindowOverride, Windows
from controller.domain.sweep_report import SweepReport
from controller.domain.tracking import Tracker
from controller.domain.watch_position import Position
from controller.errors import BrokerError, KubernetesError
from controller.eureka.region import EurekaRegion
from controller.eureka.room import IndexRoom
from controller.flows.publisher import Publisher
from controller.flows.replay_planner import LivingPods, ReplayPlanner
from controller.flows.worker_policy import WorkerPolicy
from controller.kube.client import KubeApi
from controller.kube.listing import Census
from controller.messages.codec import SWEEP_TYPE, decode_end, decode_entry, decode_position, decode_sweep
from controller.rabbit import names
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.stream import Entry, StreamFollower
from controller.settings import Settings, WindowSettings
from controller.signals import beside
from controller.terminal import report

CONNECT_TIMEOUT = 10.0
"""Seconds that a command waits for the broker."""
READ_TIMEOUT = 30.0
"""Seconds without another entry that a command waits for the rest of the event log."""

Region = EurekaRegion
"""The kind of registry. Another one is a folder beside ``eureka``, and this line."""


def now() -> datetime:
    """Return the clock."""
    return datetime.now(UTC)


def routing_of(settings: Settings) -> Routing:
    """How the settings route pods to regions."""
    known = tuple(settings.regions)
    return Routing(
        cluster=settings.watch.cluster,
        known=known,
        default=tuple(settings.routing.default_regions) or known,
        namespaces={name: tuple(regions) for name, regions in settings.routing.namespaces.items()},
        sends_to_others=settings.routing.other_regions == "send",
    )


def policy_of(settings: Settings) -> WorkerPolicy:
    """How the settings let a worker proceed."""
    return WorkerPolicy(
        retention=settings.retention,
        remove=settings.remove,
        give_up_after=settings.retry.give_up_after,
        max_backoff=settings.retry.max_backoff,
        instance_id_templates=tuple(settings.instance_id_templates),
        concurrency=settings.work.concurrency,
        max_waiters=settings.work.prefetch // 2,
        guard=GuardPolicy(**settings.guard.model_dump()),
        windows=windows_of(settings.window),
    )


def windows_of(settings: WindowSettings) -> Windows:
    """Return the window of each app and region, as the settings have it."""
    return Windows(
        Window(
            server_cache=settings.server_cache,
            client_fetch=settings.client_fetch,
            load_balancer=settings.load_balancer,
        ),
        of_apps={name: WindowOverride(**dict(own)) for name, own in settings.apps.items()},
        of_regions={name: WindowOverride(**dict(own)) for name, own in settings.regions.items()},
    )


def event_log(
    settings: Settings,
    *,
    look_back: timedelta,
    wanted: Callable[[bytes], bool] | None = None,
    on_sweep: Callable[[SweepReport], object] | None = None,
) -> StreamFollower[LogEntry]:
    """Return a follower of the event log; ``wanted`` is a cheap first look at an entry's bytes.

    ``on_sweep`` is told what passes of the sweep came to: they are in the same log, and nothing of a drain.
    """

    def decode(body: bytes, type_: str | None) -> LogEntry | None:
        if type_ != SWEEP_TYPE:
            return decode_entry(body, type_)
        if on_sweep is not None:
            on_sweep(decode_sweep(body))
        return None

    return _follower(settings, names.EVENTS, decode, look_back, wanted)


def mentions(texts: Iterable[str]) -> Callable[[bytes], bool] | None:
    """Make a cheap first look at an entry's bytes: whether it holds any of these texts; None where there are none."""
    marks = [one.encode() for one in texts]
    return (lambda body: any(mark in body for mark in marks)) if marks else None


def ends_log(
    settings: Settings, *, look_back: timedelta, wanted: Callable[[bytes], bool] | None = None
) -> StreamFollower[PodEnd]:
    """Return a follower of the stream of pods' ends."""
    return _follower(settings, names.ENDS, decode_end, look_back, wanted)


def positions_log(settings: Settings, *, look_back: timedelta) -> StreamFollower[Position]:
    """Return a follower of the stream of the watches' positions, which only watches read."""
    return _follower(settings, names.POSITIONS, decode_position, look_back, None)


def _follower(
    settings: Settings,
    stream: str,
    decode: Callable[[bytes, str | None], Entry | None],
    look_back: timedelta,
    wanted: Callable[[bytes], bool] | None,
) -> StreamFollower[Entry]:
    def decode_wanted(body: bytes, type_: str | None) -> Entry | None:
        return decode(body, type_) if wanted is None or wanted(body) else None

    return StreamFollower(settings=settings.broker, stream=stream, decode=decode_wanted, look_back=look_back, clock=now)


async def read_log(log: StreamFollower[Any], *, show: Callable[[int], object] = lambda _: None) -> None:
    """Wait until the event log has been read. BrokerError when it cannot be, with the broker's reason.

    However long the log is, it is waited for while entries come.
    """
    reading = asyncio.create_task(log.wait_until_read())
    left, seen = CONNECT_TIMEOUT, 0
    try:
        while True:
            done, _ = await asyncio.wait({reading}, timeout=min(left, 1.0))
            show(log.entries_read)
            if done:
                return
            if log.entries_read != seen:
                left, seen = READ_TIMEOUT, log.entries_read
            elif (left := left - 1.0) <= 0:
                why = log.link.trouble or "the broker does not answer"
                raise BrokerError(f"the stream {log.stream} at {log.link.where} cannot be read: {why}")
    finally:
        reading.cancel()


async def open_outbox(settings: Settings, opened: AsyncExitStack) -> RabbitOutbox:
    """Return an outbox that connects by itself, until the stack is left."""
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    await opened.enter_async_context(beside(outbox.link.run))
    return outbox


async def see_written(publisher: Publisher) -> bool:
    """Wait until the event log has what was sent, but not for ever; return whether it has, and report what is lost."""
    lost = await publisher.finish(timedelta(seconds=CONNECT_TIMEOUT))
    if lost:
        report(f"{lost} events are lost: the event log does not take them. What was sent goes on all the same")
    return not lost


def open_room() -> IndexRoom:
    """Return what the regions of this process may keep together."""
    return IndexRoom(index_room(memory_limit()))


async def open_region(settings: Settings, name: str, opened: AsyncExitStack, room: IndexRoom) -> Region:
    """Open a region until the stack is left."""
    return await opened.enter_async_context(Region(name, settings.regions[name], clock=now, room=room))


async def open_regions(settings: Settings, opened: AsyncExitStack) -> dict[str, Region]:
    """Open every region of the settings until the stack is left."""
    room = open_room()
    return {name: await open_region(settings, name, opened, room) for name in settings.regions}


async def track(api: KubeApi, *, namespaces: Sequence[str], page_size: int) -> tuple[tuple[Pod, ...], Tracker]:
    """List the cluster's pods, or those of the namespaces when no more may be listed; with who shares what with whom.

    KubernetesError unless the list is complete.
    """
    tracker = Tracker()
    pods = await Census(api, namespaces=namespaces, page_size=page_size).take()
    tracker.listed("", pods, now())
    return pods, tracker


async def make_planner(settings: Settings, regions: Mapping[str, Region]) -> tuple[ReplayPlanner, str]:
    """Return a planner of replays; and why it does without the cluster's living pods, when they cannot be listed."""
    living, doubt = None, ""
    try:
        async with KubeApi() as api:
            namespaces, page_size = settings.watch.namespaces, settings.watch.page_size
            _, tracker = await track(api, namespaces=namespaces, page_size=page_size)
        living = LivingPods(tracker.sharing, lambda uid: tracker.alive_at(uid) is not None)
    except KubernetesError as error:
        doubt = str(error)
    return ReplayPlanner(regions=regions, policy=policy_of(settings), clock=now, living=living), doubt
