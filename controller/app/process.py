"""The roles: processes that stay until a signal ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from aiohttp import web
from loguru import logger

from controller.app.assembly import (
    Region,
    ends_log,
    event_log,
    now,
    open_region,
    open_room,
    policy_of,
    positions_log,
    routing_of,
)
from controller.app.exit_status import run_to_exit_status
from controller.app.memory import memory_limit
from controller.app.ops_role import MAX_DRAINS, OpsRole, api_of, has_tokens
from controller.app.role_settings import check_regions
from controller.app.watch_parts import build_watch
from controller.app.worker_parts import build_worker
from controller.bounds import ledger_entries
from controller.domain.drain_index import DrainIndex
from controller.domain.events import LogEntry
from controller.domain.guard_policy import RecentTakeOuts
from controller.domain.ledger import Ledger
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.sweep_report import LatestSweeps
from controller.eureka.room import IndexRoom
from controller.flows.priority import PriorityGate
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from controller.flows.worker import Worker
from controller.kube.client import KubeApi
from controller.kube.corrected_feed import ClusterClock, CorrectedFeed
from controller.kube.event_recorder import KubeEventRecorder
from controller.kube.feed import feeds
from controller.kube.node_feed import KubeNodeFeed
from controller.kube.reviews import Reviews
from controller.kube.rights import Rights, needs_of_ops, needs_of_watch
from controller.ops.loop_lag import observe_lag
from controller.ops.metrics import Metrics
from controller.ops.port.descriptors import raise_descriptor_limit
from controller.ops.port.http_server import Checks, serve
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.link import Link
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.stream import StreamFollower
from controller.rotation import Rotation
from controller.settings import Settings
from controller.settings.sources import Sources
from controller.signals import finish_in_turn, run_until_stopped
from controller.tls.context import TlsAccess

MAX_DRAINS_WITHOUT_OPS = 5_000
"""Drains that a watch holds until their pods have ended; one takes about 3 kB."""
POSITION_LOOKBACK = timedelta(minutes=10)
"""An API server remembers what it sent for five."""


@dataclass(slots=True, kw_only=True)
class Process:
    """What the roles of one process share, and what each adds to it."""

    settings: Settings
    opened: AsyncExitStack
    metrics: Metrics
    outbox: RabbitOutbox
    log: StreamFollower[LogEntry]
    ends: StreamFollower[PodEnd]
    drains: DrainIndex
    sweeps: LatestSweeps
    verdicts: ShutdownVerdicts
    tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    checks: Checks = field(default_factory=dict)
    finishing: list[Callable[[timedelta], Awaitable[None]]] = field(default_factory=list)
    """What finishes what is in flight at SIGTERM, within a budget."""
    regions: dict[str, Region] = field(default_factory=dict)
    room: IndexRoom = field(default_factory=open_room)
    links: list[Link] = field(default_factory=list)
    on_rotation: list[Callable[[Settings], None]] = field(default_factory=list)
    """Who else takes over what was rotated."""
    application: web.Application | None = None

    def keep(self, name: str, link: Link) -> None:
        """Keep a link up, and its credentials new."""
        self.tasks[name] = link.run
        self.links.append(link)

    async def region(self, name: str) -> Region:
        """Return a region's nodes, opened once."""
        if name not in self.regions:
            self.regions[name] = await open_region(self.settings, name, self.opened, self.room)
        return self.regions[name]

    def rotate_credentials(self, access: TlsAccess) -> None:
        """Hand over what was rotated to all who use it."""
        self.settings = access.settings
        for link in self.links:
            link.rotate_credentials(access.settings.broker, access.broker)
        for name, region in self.regions.items():
            region.rotate_credentials(access.settings.regions[name], access.regions[name])
        for rotate in self.on_rotation:
            rotate(access.settings)


def start(
    settings: Settings, sources: Sources, *, watch: bool = False, work: Sequence[str] = (), ops: bool = False
) -> int:
    """Run the roles; the process's exit status. What may be rotated is read again from the sources."""
    check_regions(settings, watch=watch, work=work)
    rotation = Rotation(sources, settings, regions=list(settings.regions) if ops else work)
    rotation.check()
    raise_descriptor_limit()
    return run_to_exit_status(run_roles(settings, rotation, watch=watch, work=work, ops=ops))


async def run_roles(settings: Settings, rotation: Rotation, *, watch: bool, work: Sequence[str], ops: bool) -> None:
    """Run the watch, the work of these regions, and the page, until a signal."""
    # A watch, or the page, may start before the first worker of a region.
    declared = list(settings.regions) if watch or ops else list(work)
    drains = DrainIndex(timelines=ops, limit=MAX_DRAINS if ops else MAX_DRAINS_WITHOUT_OPS)
    metrics = Metrics(regions=routing_of(settings).regions, watch=watch, work=work, ops=ops)
    sweeps = LatestSweeps(metrics)
    async with AsyncExitStack() as opened:
        process = Process(
            settings=settings,
            opened=opened,
            metrics=metrics,
            outbox=RabbitOutbox(settings=settings.broker, regions=declared),
            log=event_log(settings, look_back=settings.broker.event_lookback, on_sweep=sweeps.apply if ops else None),
            ends=ends_log(settings, look_back=settings.broker.event_lookback),
            drains=drains,
            sweeps=sweeps,
            verdicts=ShutdownVerdicts(drains),
        )
        process.log.declares = process.ends.declares = True
        process.keep("publish link", process.outbox.link)
        process.tasks["topology"] = process.outbox.topology.run
        process.keep("event log", process.log.link)
        if (watch and settings.watch.kubernetes_events) or ops:
            process.keep("ends", process.ends.link)
            process.log.readers.append(process.verdicts.apply)
            process.ends.readers.append(process.verdicts.apply_end)
        process.tasks["loop lag"] = partial(observe_lag, process.metrics.loop_lag)
        process.tasks["rotation"] = partial(rotation.run, process.rotate_credentials)
        process.checks["broker connected"] = lambda: process.outbox.link.up
        process.checks["topology declared"] = process.outbox.topology
        process.checks["event log read"] = lambda: process.log.caught_up
        watch_urgency, priorities = PriorityGate(), {name: PriorityGate() for name in work}
        # What the regions prove waits for unsent commands, and the watch's events wait for every region; but regions
        # do not wait for each other.
        watch_urgency.yield_to(*priorities.values())
        for priority in priorities.values():
            priority.yield_to(watch_urgency)
        if watch:
            await _add_watch(process, watch_urgency)
        if work:
            await _add_work(process, priorities)
        if ops:
            await _add_ops(process, alone=not watch)
        served = serve(settings.http, process.metrics, process.checks, process.application)
        await opened.enter_async_context(served)

        async def stop() -> None:
            logger.info("stopping")
            await asyncio.gather(*(finish(settings.shutdown_timeout) for finish in process.finishing))

        await run_until_stopped(process.tasks, stop=stop)
    logger.info("stopped")


async def _add_watch(process: Process, priority: PriorityGate) -> None:
    settings = process.settings
    api = await process.opened.enter_async_context(KubeApi())
    pod_feeds, cluster_clock = feeds(api, settings.watch, clock=now), ClusterClock(api.date, clock=now)
    positions = positions_log(settings, look_back=POSITION_LOOKBACK)
    positions.declares = True
    ledger = Ledger(settings.watch.cluster, limit=ledger_entries(memory_limit()))
    parts = build_watch(
        feeds=[CorrectedFeed(feed, cluster_clock) for feed in pod_feeds],
        nodes=KubeNodeFeed(api, page_size=settings.watch.page_size, clock=now) if settings.watch.nodes else None,
        outbox=process.outbox,
        routing=routing_of(settings),
        clock=now,
        observer=process.metrics,
        priority=priority,
        ledger=ledger,
        log=process.log,
        positions_log=positions,
        event_recorder=KubeEventRecorder(api) if settings.watch.kubernetes_events else None,
    )
    positions.readers.append(parts.positions.apply)
    process.log.readers.append(parts.restore_dispatcher.apply)
    if parts.pod_events is not None:
        parts.pod_events.page_url = settings.ops.url
        process.log.readers.append(parts.pod_events.apply)
        process.verdicts.readers.append(parts.pod_events.apply_shutdown)
    process.log.when_caught_up.append(parts.restore_dispatcher.log_read)
    process.log.when_replaced.append(parts.gone.log_replaced)
    process.keep("positions", positions.link)
    process.tasks["watch"] = parts.run
    process.finishing.append(parts.finish)
    _add_rights(
        process,
        "watch",
        Rights(api, needs_of_watch(settings.watch.scopes, kubernetes_events=settings.watch.kubernetes_events)),
    )
    process.metrics.pods_too_large(lambda: sum(len(feed.too_large) for feed in pod_feeds))
    process.metrics.watch_silence(lambda: max((feed.silence for feed in pod_feeds), default=timedelta(0)))
    process.checks["first list done"] = lambda: parts.watch.ready
    process.checks["watch live"] = lambda: all(feed.live for feed in pod_feeds)


async def _add_work(process: Process, priorities: dict[str, PriorityGate]) -> None:
    settings = process.settings
    ledger, recent_take_outs = Ledger(limit=ledger_entries(memory_limit())), RecentTakeOuts()
    process.log.readers += [ledger.apply, recent_take_outs.apply]
    for name, priority in priorities.items():
        region = await process.region(name)
        worker = build_worker(
            registry=region,
            outbox=process.outbox,
            policy=policy_of(settings),
            clock=now,
            observer=process.metrics,
            priority=priority,
            ledger=ledger,
            log=process.log,
            recent_take_outs=recent_take_outs,
        )
        consumer = RegionConsumer(
            settings=settings.broker,
            region=name,
            prefetch=settings.work.prefetch,
            outbox=process.outbox,
            handle=worker.handle,
        )
        consumer.unwritten = worker
        process.finishing.append(partial(_finish_work, consumer, worker))
        process.keep(f"consume {name}", consumer.link)
        process.tasks |= {
            f"index {name}": region.index.keep_fresh,
            f"caches {name}": region.caches.keep_fresh,
            f"lookout {name}": worker.lookout.run,
            f"unrouted {name}": consumer.bring_back_unrouted,
        }
        process.checks[f"consuming {name}"] = partial(lambda link: link.up, consumer.link)


async def _finish_work(consumer: RegionConsumer, worker: Worker, within: timedelta) -> None:
    await finish_in_turn(within, consumer.stop, worker.finish)


async def _add_ops(process: Process, *, alone: bool) -> None:
    settings = process.settings
    api = await api_of(settings, process.opened)
    # Readiness of a process that also watches must not hang on its page, nor where the settings' tokens let people in.
    if api is not None and alone and not has_tokens(settings.ops):
        _add_rights(process, "ops", Rights(api, needs_of_ops()))
    role = OpsRole(
        settings,
        log=process.log,
        ends=process.ends,
        drains=process.drains,
        sweeps=process.sweeps,
        verdicts=process.verdicts,
        outbox=process.outbox,
        metrics=process.metrics,
        regions={name: await process.region(name) for name in settings.regions},
        reviews=Reviews(api, audiences=settings.ops.audiences) if api else None,
    )
    process.keep("counts", role.counter.link)
    process.tasks["overview"] = role.overview.run
    process.on_rotation.append(role.rotate_credentials)
    process.finishing.append(role.finish)
    process.application = role.application


def _add_rights(process: Process, role: str, rights: Rights) -> None:
    process.tasks[f"rights {role}"] = rights.run
    process.checks |= {f"may {need}": partial(rights.has, need) for need in rights.needs}
