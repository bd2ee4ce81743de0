"""``drain`` and ``restore``: one pod, by hand; ends when it has come to an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from controller.app.assembly import event_log, now, read_log, routing_of, track
from controller.app.exit_status import FAILED, finished, report, terminal_width
from controller.domain.commands import DrainCommand
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import FINAL, Event, Outcome, make_event
from controller.domain.ledger import Ledger
from controller.domain.manual_commands import drains_of, restores_of
from controller.domain.replay_plan import Requester
from controller.domain.takeover import WorkItem
from controller.errors import DrainControllerError
from controller.kube.client import KubeApi
from controller.kube.listing import read_pod
from controller.ops.tables import drains_table
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.stream import StreamFollower
from controller.settings import Settings
from controller.signals import beside, until_interrupted

OUTCOME_TIMEOUT = timedelta(minutes=2)
"""How long an outcome is waited for."""
POLL_INTERVAL = 0.2
"""Seconds between two looks at what has come of it."""


def drain(settings: Settings, pod: tuple[str, str], requester: Requester) -> int:
    """Take a living pod out of service; the exit status."""
    ended = finished(_drain(settings, pod, requester), plain=True)
    return 1 if ended is FAILED else ended


def restore(settings: Settings, pod: tuple[str, str], requester: Requester) -> int:
    """Put a living pod back that a drain has taken out; the exit status."""
    ended = finished(_restore(settings, pod, requester), plain=True)
    return 1 if ended is FAILED else ended


async def _drain(settings: Settings, key: tuple[str, str], requester: Requester) -> int:
    async with KubeApi() as api:
        pod = await read_pod(api, *key)
        _, tracker = await track(api, namespaces=[key[0]], page_size=settings.watch.page_size)
    orders = drains_of(pod, routing_of(settings), tracker.sharing(pod), requester)
    if isinstance(orders, str):
        raise DrainControllerError(f"{pod.key} is not drained: {orders}")
    log = event_log(settings, look_back=timedelta(minutes=1))
    records = await _send(settings, log, orders, {item.drain_id for item in orders})
    return _report(records, len(orders), {Outcome.out_of_service})


async def _restore(settings: Settings, key: tuple[str, str], requester: Requester) -> int:
    async with KubeApi() as api:
        pod = await read_pod(api, *key)
    ledger = Ledger(settings.watch.cluster)
    log = event_log(settings, look_back=settings.broker.events_kept)
    log.readers.append(ledger.apply)
    async with beside(log.link.run):
        await read_log(log)
        orders = restores_of(pod, settings.watch.cluster, ledger.held_at(pod), requester)
    if isinstance(orders, str):
        raise DrainControllerError(f"{pod.key} is not restored: {orders}")
    ids = {held.drain_id for item in orders for held in item.held}
    log = event_log(settings, look_back=timedelta(minutes=1))
    records = await _send(settings, log, orders, ids)
    return _report(records, len(ids), {Outcome.restored})


async def _send(
    settings: Settings, log: StreamFollower[Event], orders: Sequence[WorkItem], ids: set[str]
) -> list[DrainRecord]:
    """Send the orders, and wait for what the log tells of these drains from then on."""
    history = DrainIndex()
    asked_at = {item.requested_at for item in orders}
    log.readers.append(lambda event: history.apply(event) if event.requested_at in asked_at else None)
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(beside(log.link.run))
        await read_log(log)
        await opened.enter_async_context(beside(outbox.link.run))
        for item in orders:
            await outbox.send(item)
            if isinstance(item, DrainCommand):
                await outbox.record(make_event(item, Outcome.requested, item.observed_at, published_at=now()))
        report(f"asked for; waiting for the outcome ({', '.join(sorted(ids))})")

        if not await until_interrupted(_until_over(history, ids)) or not _are_over(history, ids):
            report("no outcome yet; it goes on by itself: eureka-drain show DRAIN_ID")
    return [record for one in sorted(ids) if (record := history.get(one)) is not None]


async def _until_over(history: DrainIndex, ids: set[str]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(OUTCOME_TIMEOUT.total_seconds()):
            while not _are_over(history, ids):  # noqa: ASYNC110 - what is waited for is a fold over many events
                await asyncio.sleep(POLL_INTERVAL)


def _are_over(history: DrainIndex, ids: set[str]) -> bool:
    records = [history.get(one) for one in ids]
    return all(record and record.parts and record.state in FINAL | {Outcome.out_of_service} for record in records)


def _report(records: Sequence[DrainRecord], asked: int, good: set[Outcome]) -> int:
    print(drains_table(records, now(), width=terminal_width()), end="")
    return 0 if len(records) == asked and all(record.state in good for record in records) else 1
