"""The roles: processes that stay until a signal ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from loguru import logger

from controller.app.assembly import event_log, now, policy_of, routing_of
from controller.app.ending import FAILED, finished
from controller.domain.events import Event
from controller.domain.ledger import Ledger
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
from controller.lifecycle import run_until_stopped
from controller.messages.codec import decode_position
from controller.ops.http import Checks, serve
from controller.ops.metrics import Metrics
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.log import RabbitLog
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings

POSITIONS_READ = timedelta(minutes=10)
"""An API server remembers what it told for five."""


def start(settings: Settings, *, watch: bool, work: Sequence[str]) -> int:
    """Run the roles; the process's exit status."""
    check_regions(settings, watch=watch, work=work)
    return 1 if finished(run_roles(settings, watch=watch, work=work)) is FAILED else 0


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


async def run_roles(settings: Settings, *, watch: bool, work: Sequence[str]) -> None:
    """Run the watch, and the work of these regions, until a signal."""
    metrics = Metrics()
    checks: Checks = {}
    finishing: list[Callable[[timedelta], Awaitable[None]]] = []
    """What finishes what is in flight at SIGTERM, within a budget."""
    watch_urgency, urgencies = Urgency(), {name: Urgency() for name in work}
    # What the regions prove waits for unsent commands, and the watch's events wait for every region; but regions do not
    # wait for each other.
    watch_urgency.let_first(*urgencies.values())
    for urgency in urgencies.values():
        urgency.let_first(watch_urgency)
    async with AsyncExitStack() as opened:
        outbox = RabbitOutbox(settings=settings.broker, regions=_declared(settings, watch=watch, work=work))
        tasks = {"publish link": outbox.link.run}
        checks["broker connected"] = lambda: outbox.link.up
        log = event_log(settings, look_back=settings.broker.events_read)
        tasks["event log"] = log.link.run
        checks["event log read"] = lambda: log.caught_up
        worked, watched, taken_lately = Ledger(), Ledger(settings.watch.cluster), TakenLately()
        log.readers += [worked.note, taken_lately.note]
        if watch:
            api = await opened.enter_async_context(KubeApi())
            pod_feeds = feeds(api, settings.watch, clock=now)
            positions = RabbitLog(
                settings=settings.broker,
                stream=names.POSITIONS,
                decode=decode_position,
                look_back=POSITIONS_READ,
                clock=now,
            )
            tasks["positions"] = positions.link.run
            watching = Watch(
                feeds=list(pod_feeds),
                outbox=outbox,
                routing=routing_of(settings),
                clock=now,
                observer=metrics,
                urgency=watch_urgency,
                ledger=watched,
                log=log,
                positions=positions,
                noticeboard=KubeNoticeboard(api) if settings.watch.notices else None,
            )
            positions.readers.append(watching.resume.told)
            log.readers.append(partial(_tell_watch, watched, watching.succession))
            if watching.telling:
                log.readers.append(watching.telling.note)
            log.when_caught_up.append(watching.succession.log_read)
            tasks["watch"] = watching.run
            finishing.append(watching.finish)
            checks["first list done"] = lambda: watching.ready
            checks["watch live"] = lambda: all(feed.live for feed in pod_feeds)
        for name in work:
            region = await opened.enter_async_context(EurekaRegion(name, settings.regions[name], clock=now))
            worker = Worker(
                region=name,
                registry=region,
                outbox=outbox,
                policy=policy_of(settings),
                clock=now,
                observer=metrics,
                urgency=urgencies[name],
                ledger=worked,
                log=log,
                taken_lately=taken_lately,
            )
            consumer = RegionConsumer(
                settings=settings.broker,
                region=name,
                prefetch=settings.work.prefetch,
                outbox=outbox,
                handle=worker.handle,
            )
            finishing.append(consumer.stop)
            tasks[f"index {name}"] = region.index.keep_fresh
            tasks[f"consume {name}"] = consumer.link.run
            tasks[f"unrouted {name}"] = consumer.bring_back_unrouted
            checks[f"consuming {name}"] = partial(lambda link: link.up, consumer.link)
        await opened.enter_async_context(serve(settings.http, metrics, checks))

        async def stop() -> None:
            logger.info("stopping")
            await asyncio.gather(*(finish(settings.stop.within) for finish in finishing))

        await run_until_stopped(tasks, stop=stop)
    logger.info("stopped")


def _tell_watch(ledger: Ledger, succession: Succession, event: Event) -> None:
    taken = ledger.note(event)
    if taken is not None:
        succession.noted(taken)


def _declared(settings: Settings, *, watch: bool, work: Sequence[str]) -> list[str]:
    """The regions whose queues this process declares: a watch may start before the first worker of a region."""
    return list(settings.regions) if watch else list(work)
