"""The composition root: the only module that builds things. Everything else receives what it needs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import partial
from ipaddress import ip_network
from typing import Any, Literal, TypeVar

from loguru import logger

from controller.domain.decide import Routing
from controller.domain.events import Event
from controller.domain.ledger import Ledger
from controller.domain.standing import Guard, TakenLately
from controller.domain.sweep import Evidence
from controller.errors import BrokerError, DrainControllerError, SettingsError
from controller.eureka.region import EurekaRegion
from controller.flows.steps import Policy
from controller.flows.succession import Succession
from controller.flows.sweep import Pass, Sweep
from controller.flows.urgency import Urgency
from controller.flows.watch import Watch
from controller.flows.work import Worker
from controller.kube.api import KubeApi
from controller.kube.feed import feeds
from controller.kube.listing import Census
from controller.lifecycle import beside, run_until_stopped
from controller.messages.codec import decode_event, decode_position
from controller.ops.http import Checks, serve
from controller.ops.metrics import Metrics
from controller.ops.tables import findings_table
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.log import RabbitLog
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings

T = TypeVar("T")


class Failed(Enum):
    """How a task ends that has told what went wrong."""

    FAILED = auto()


FAILED = Failed.FAILED
POSITIONS_READ = timedelta(minutes=10)
"""An API server remembers what it told for five."""
LOG_TIMEOUT = 60.0
"""Seconds that a command waits for the event log."""


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def routing_of(settings: Settings) -> Routing:
    """How the settings route pods to regions."""
    known = tuple(settings.regions)
    return Routing(
        cluster=settings.watch.cluster,
        known=known,
        default=tuple(settings.routing.default_regions) or known,
        namespaces={name: tuple(regions) for name, regions in settings.routing.namespaces.items()},
    )


def policy_of(settings: Settings) -> Policy:
    """How the settings let a worker proceed."""
    return Policy(
        retention=settings.retention,
        remove=settings.remove,
        give_up_after=settings.retry.give_up_after,
        longest_wait=settings.retry.longest_wait,
        instance_id_templates=tuple(settings.instance_id_templates),
        concurrency=settings.work.concurrency,
        guard=Guard(**settings.guard.model_dump()),
    )


def event_log(settings: Settings, *, look_back: timedelta) -> RabbitLog[Event]:
    """A follower of the event log."""
    return RabbitLog(settings=settings.broker, stream=names.EVENTS, decode=decode_event, look_back=look_back, clock=now)


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
            )
            positions.readers.append(watching.resume.told)
            log.readers.append(partial(_tell_watch, watched, watching.succession))
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


async def run_sweep(settings: Settings, *, dry_run: bool) -> tuple[Pass, int | None]:
    """One pass; what was found, and how many drains were sent (None: none were to be)."""
    evidence = Evidence(settings.watch.cluster, [ip_network(text) for text in settings.sweep.pod_cidrs])
    log = event_log(settings, look_back=settings.broker.events_kept)
    log.readers.append(evidence.note)
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(beside(log.link.run))
        await _read_log(log)
        census = Census(
            await opened.enter_async_context(KubeApi()),
            namespaces=settings.watch.namespaces,
            page_size=settings.watch.page_size,
        )
        regions = {
            name: await opened.enter_async_context(EurekaRegion(name, region, clock=now))
            for name, region in settings.regions.items()
        }
        sweep = Sweep(census=census.take, regions=regions, evidence=evidence, clock=now, cluster=settings.watch.cluster)
        if not await census.is_whole() and settings.sweep.pod_cidrs:
            logger.warning("pods of other namespaces cannot be listed: pod_cidrs is not used, only the event log")
            evidence.distrust_addresses()
        done = await sweep.look()
        if dry_run or settings.sweep.policy != "drain":
            return done, None
        outbox = RabbitOutbox(settings=settings.broker, regions=regions)
        await opened.enter_async_context(beside(outbox.link.run))
        return done, await sweep.send(done, outbox)


async def _read_log(log: RabbitLog[Event]) -> None:
    """Wait until the event log has been read: without it, nobody knows what is being drained already."""
    try:
        async with asyncio.timeout(LOG_TIMEOUT):
            await log.wait_until_read()
    except TimeoutError as error:
        raise BrokerError(
            f"the event log could not be read within {LOG_TIMEOUT:.0f} s; is the broker there?"
        ) from error


def _tell_watch(ledger: Ledger, succession: Succession, event: Event) -> None:
    taken = ledger.note(event)
    if taken is not None:
        succession.noted(taken)


def _declared(settings: Settings, *, watch: bool, work: Sequence[str]) -> list[str]:
    """The regions whose queues this process declares: a watch may start before the first worker of a region."""
    return list(settings.regions) if watch else list(work)


def start(settings: Settings, *, watch: bool, work: Sequence[str]) -> int:
    """Run the roles; the process's exit status."""
    check_regions(settings, watch=watch, work=work)
    return 1 if _finished(run_roles(settings, watch=watch, work=work)) is FAILED else 0


def sweep(settings: Settings, *, dry_run: bool) -> int:
    """One pass: a table on stdout, what it means on stderr; the exit status."""
    if not settings.regions:
        raise SettingsError(["regions: none is configured; there is nothing to sweep"])
    ended = _finished(run_sweep(settings, dry_run=dry_run))
    if ended is FAILED:
        return 1
    done, sent = ended
    found = [finding for finding in done.findings if not finding.doubt]
    print(findings_table(done.findings), end="")
    told = f"{len(done.findings)} without a living pod, {len(found)} of them to be drained"
    print(told + (f"; {sent} drains sent" if sent is not None else "; nothing was changed"), file=sys.stderr)
    for gap in done.incomplete:
        print(f"not complete, nothing concluded: {gap}", file=sys.stderr)
    return 1 if done.incomplete else 0


def _finished(task: Coroutine[Any, Any, T]) -> T | Literal[Failed.FAILED]:
    """Run it to its end, and tell what went wrong in lines that a person can use."""
    import uvloop

    try:
        return uvloop.run(task)
    except (Exception, BaseExceptionGroup) as error:
        for leaf in _leaves(error):
            expected = isinstance(leaf, DrainControllerError | OSError)
            text = str(leaf) if expected else f"{type(leaf).__name__}: {leaf}"
            # A mistake of the program keeps its traceback for whoever mends it, on request.
            logger.bind(error=text).error("cannot go on")
            logger.opt(exception=None if expected else leaf).debug("ended by {}", type(leaf).__name__)
        return FAILED


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
