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

from controller.app.assembly import ends_log, event_log, now, policy_of, routing_of
from controller.app.ending import FAILED, finished
from controller.app.site import OpsRole, api_of, has_tokens
from controller.domain.events import Event
from controller.domain.ledger import Ledger
from controller.domain.pod_end import PodEnd
from controller.domain.standing import TakenLately
from controller.errors import SettingsError
from controller.eureka.region import EurekaRegion
from controller.flows.succession import Succession
from controller.flows.urgency import Urgency
from controller.flows.watch import Watch
from controller.flows.work import Worker
from controller.kube.api import KubeApi
from controller.kube.feed import feeds
from controller.kube.noticeboard import KubeNoticeboard
from controller.kube.reviews import Reviews
from controller.kube.rights import Rights, needs_of_ops, needs_of_watch
from controller.lifecycle import run_until_stopped
from controller.messages.codec import decode_position
from controller.ops.http import Checks, serve
from controller.ops.metrics import Metrics
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.link import Link
from controller.rabbit.log import RabbitLog
from controller.rabbit.outbox import RabbitOutbox
from controller.rotation import Rotation
from controller.settings import Settings
from controller.settings_sources import Sources
from controller.tls.context import Access

POSITIONS_READ = timedelta(minutes=10)
"""An API server remembers what it told for five."""


@dataclass(slots=True, kw_only=True)
class Process:
    """What the roles of one process share, and what each adds to it."""

    settings: Settings
    opened: AsyncExitStack
    metrics: Metrics
    outbox: RabbitOutbox
    log: RabbitLog[Event]
    ends: RabbitLog[PodEnd]
    tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    checks: Checks = field(default_factory=dict)
    finishing: list[Callable[[timedelta], Awaitable[None]]] = field(default_factory=list)
    """What finishes what is in flight at SIGTERM, within a budget."""
    regions: dict[str, EurekaRegion] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    renewals: list[Callable[[Settings], None]] = field(default_factory=list)
    """Who else takes over what was rotated."""
    application: web.Application | None = None

    def keep(self, name: str, link: Link) -> None:
        """Keep a link up, and its credentials new."""
        self.tasks[name] = link.run
        self.links.append(link)

    async def region(self, name: str) -> EurekaRegion:
        """A region's nodes, opened once."""
        if name not in self.regions:
            region = EurekaRegion(name, self.settings.regions[name], clock=now)
            self.regions[name] = await self.opened.enter_async_context(region)
        return self.regions[name]

    def renew(self, access: Access) -> None:
        """Hand over what was rotated to all who use it."""
        self.settings = access.settings
        for link in self.links:
            link.renew(access.settings.broker, access.broker)
        for name, region in self.regions.items():
            region.renew(access.settings.regions[name], access.regions[name])
        for renew in self.renewals:
            renew(access.settings)


def start(
    settings: Settings, sources: Sources, *, watch: bool = False, work: Sequence[str] = (), ops: bool = False
) -> int:
    """Run the roles; the process's exit status. What may be rotated is read again from the sources."""
    check_regions(settings, watch=watch, work=work)
    rotation = Rotation(sources, settings, regions=list(settings.regions) if ops else work)
    rotation.check()
    return 1 if finished(run_roles(settings, rotation, watch=watch, work=work, ops=ops)) is FAILED else 0


def check_regions(settings: Settings, *, watch: bool, work: Sequence[str]) -> None:
    """Refuse roles that the settings give nothing to do."""
    problems = [
        f"--region {name}: no such region in the settings; known: {', '.join(settings.regions) or '(none)'}"
        for name in work
        if name not in settings.regions
    ]
    if watch and not (settings.regions or settings.routing.default_regions or settings.routing.namespaces):
        problems.append("regions: none is configured; name at least one with its nodes, or routing.default_regions")
    if problems:
        raise SettingsError(problems)


async def run_roles(settings: Settings, rotation: Rotation, *, watch: bool, work: Sequence[str], ops: bool) -> None:
    """Run the watch, the work of these regions, and the page, until a signal."""
    # A watch, or the page, may start before the first worker of a region.
    declared = list(settings.regions) if watch or ops else list(work)
    async with AsyncExitStack() as opened:
        process = Process(
            settings=settings,
            opened=opened,
            metrics=Metrics(regions=routing_of(settings).regions, watch=watch, work=work, ops=ops),
            outbox=RabbitOutbox(settings=settings.broker, regions=declared),
            log=event_log(settings, look_back=settings.broker.events_read),
            ends=ends_log(settings, look_back=settings.broker.events_read),
        )
        process.keep("publish link", process.outbox.link)
        process.keep("event log", process.log.link)
        if (watch and settings.watch.notices) or ops:
            process.keep("ends", process.ends.link)
        process.tasks["rotation"] = partial(rotation.run, process.renew)
        process.checks["broker connected"] = lambda: process.outbox.link.up
        process.checks["event log read"] = lambda: process.log.caught_up
        watch_urgency, urgencies = Urgency(), {name: Urgency() for name in work}
        # What the regions prove waits for unsent commands, and the watch's events wait for every region; but regions
        # do not wait for each other.
        watch_urgency.let_first(*urgencies.values())
        for urgency in urgencies.values():
            urgency.let_first(watch_urgency)
        if watch:
            await _add_watch(process, watch_urgency)
        if work:
            await _add_work(process, urgencies)
        if ops:
            await _add_ops(process, alone=not watch)
        served = serve(settings.http, process.metrics, process.checks, process.application)
        await opened.enter_async_context(served)

        async def stop() -> None:
            logger.info("stopping")
            await asyncio.gather(*(finish(settings.stop.within) for finish in process.finishing))

        await run_until_stopped(process.tasks, stop=stop)
    logger.info("stopped")


async def _add_watch(process: Process, urgency: Urgency) -> None:
    settings = process.settings
    api = await process.opened.enter_async_context(KubeApi())
    pod_feeds = feeds(api, settings.watch, clock=now)
    positions = RabbitLog(
        settings=settings.broker,
        stream=names.POSITIONS,
        decode=decode_position,
        look_back=POSITIONS_READ,
        clock=now,
    )
    ledger = Ledger(settings.watch.cluster)
    watching = Watch(
        feeds=list(pod_feeds),
        outbox=process.outbox,
        routing=routing_of(settings),
        clock=now,
        observer=process.metrics,
        urgency=urgency,
        ledger=ledger,
        log=process.log,
        positions=positions,
        noticeboard=KubeNoticeboard(api) if settings.watch.notices else None,
    )
    positions.readers.append(watching.resume.told)
    process.log.readers.append(partial(_tell_watch, ledger, watching.succession))
    if watching.telling:
        process.log.readers.append(watching.telling.note)
        process.ends.readers.append(watching.telling.note_end)
    process.log.when_caught_up.append(watching.succession.log_read)
    process.keep("positions", positions.link)
    process.tasks["watch"] = watching.run
    process.finishing.append(watching.finish)
    _add_rights(process, "watch", Rights(api, needs_of_watch(settings.watch.scopes, notices=settings.watch.notices)))
    process.metrics.watch_silence(lambda: max((feed.silence for feed in pod_feeds), default=timedelta(0)))
    process.checks["first list done"] = lambda: watching.ready
    process.checks["watch live"] = lambda: all(feed.live for feed in pod_feeds)


async def _add_work(process: Process, urgencies: dict[str, Urgency]) -> None:
    settings = process.settings
    ledger, taken_lately = Ledger(), TakenLately()
    process.log.readers += [ledger.note, taken_lately.note]
    for name, urgency in urgencies.items():
        region = await process.region(name)
        worker = Worker(
            region=name,
            registry=region,
            outbox=process.outbox,
            policy=policy_of(settings),
            clock=now,
            observer=process.metrics,
            urgency=urgency,
            ledger=ledger,
            log=process.log,
            taken_lately=taken_lately,
        )
        consumer = RegionConsumer(
            settings=settings.broker,
            region=name,
            prefetch=settings.work.prefetch,
            outbox=process.outbox,
            handle=worker.handle,
        )
        process.finishing.append(consumer.stop)
        process.keep(f"consume {name}", consumer.link)
        process.tasks |= {
            f"index {name}": region.index.keep_fresh,
            f"caches {name}": region.caches.keep_fresh,
            f"unrouted {name}": consumer.bring_back_unrouted,
        }
        process.checks[f"consuming {name}"] = partial(lambda link: link.up, consumer.link)


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
        outbox=process.outbox,
        metrics=process.metrics,
        regions={name: await process.region(name) for name in settings.regions},
        reviews=Reviews(api, audiences=settings.ops.audiences) if api else None,
    )
    process.keep("counts", role.counter.link)
    process.tasks["overview"] = role.overview.run
    process.renewals.append(role.renew)
    process.finishing.append(role.finish)
    process.application = role.application


def _add_rights(process: Process, role: str, rights: Rights) -> None:
    process.tasks[f"rights {role}"] = rights.run
    process.checks |= {f"may {need}": partial(rights.has, need) for need in rights.needs}


def _tell_watch(ledger: Ledger, succession: Succession, event: Event) -> None:
    taken = ledger.note(event)
    if taken is not None:
        succession.noted(taken)
