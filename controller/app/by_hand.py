"""``drain`` and ``restore``: one pod, by hand; ends when it has come to an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from controller.app.assembly import event_log, now, read_log, routing_of, track
from controller.app.ending import FAILED, finished, say, terminal_width
from controller.domain.by_hand import drains_of, restores_of
from controller.domain.commands import Command
from controller.domain.events import FINAL, Event, Outcome, tell
from controller.domain.history import History
from controller.domain.ledger import Ledger
from controller.domain.replay import Asker
from controller.domain.restore import Order
from controller.domain.story import Story
from controller.errors import DrainControllerError
from controller.kube.api import KubeApi
from controller.kube.listing import read_pod
from controller.lifecycle import beside, until_interrupted
from controller.ops.tables import drains_table
from controller.rabbit.log import RabbitLog
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings

OUTCOME_WITHIN = timedelta(minutes=2)
"""How long an outcome is waited for."""
LOOK = 0.2
"""Seconds between two looks at what has come of it."""


def drain(settings: Settings, pod: tuple[str, str], asker: Asker) -> int:
    """Take a living pod out of service; the exit status."""
    ended = finished(_drain(settings, pod, asker), plain=True)
    return 1 if ended is FAILED else ended


def restore(settings: Settings, pod: tuple[str, str], asker: Asker) -> int:
    """Put a living pod back that a drain has taken out; the exit status."""
    ended = finished(_restore(settings, pod, asker), plain=True)
    return 1 if ended is FAILED else ended


async def _drain(settings: Settings, key: tuple[str, str], asker: Asker) -> int:
    async with KubeApi() as api:
        pod = await read_pod(api, *key)
        _, tracker = await track(api, namespaces=[key[0]], page_size=settings.watch.page_size)
    orders = drains_of(pod, routing_of(settings), tracker.sharing(pod), asker)
    if isinstance(orders, str):
        raise DrainControllerError(f"{pod.key} is not drained: {orders}")
    log = event_log(settings, look_back=timedelta(minutes=1))
    stories = await _send(settings, log, orders, {order.drain_id for order in orders})
    return _report(stories, len(orders), {Outcome.out_of_service})


async def _restore(settings: Settings, key: tuple[str, str], asker: Asker) -> int:
    async with KubeApi() as api:
        pod = await read_pod(api, *key)
    ledger = Ledger(settings.watch.cluster)
    log = event_log(settings, look_back=settings.broker.events_kept)
    log.readers.append(ledger.note)
    async with beside(log.link.run):
        await read_log(log)
        orders = restores_of(pod, settings.watch.cluster, ledger.held_at(pod), asker)
    if isinstance(orders, str):
        raise DrainControllerError(f"{pod.key} is not restored: {orders}")
    ids = {taken.drain_id for order in orders for taken in order.taken}
    log = event_log(settings, look_back=timedelta(minutes=1))
    stories = await _send(settings, log, orders, ids)
    return _report(stories, len(ids), {Outcome.restored})


async def _send(settings: Settings, log: RabbitLog[Event], orders: Sequence[Order], ids: set[str]) -> list[Story]:
    """Send the orders, and wait for what the log tells of these drains from then on."""
    history = History()
    asked_at = {order.requested_at for order in orders}
    log.readers.append(lambda event: history.note(event) if event.requested_at in asked_at else None)
    outbox = RabbitOutbox(settings=settings.broker, regions=list(settings.regions))
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(beside(log.link.run))
        await read_log(log)
        await opened.enter_async_context(beside(outbox.link.run))
        for order in orders:
            await outbox.send(order)
            if isinstance(order, Command):
                await outbox.record(tell(order, Outcome.requested, order.observed_at, published_at=now()))
        say(f"asked for; waiting for the outcome ({', '.join(sorted(ids))})")

        if not await until_interrupted(_until_over(history, ids)) or not _are_over(history, ids):
            say("no outcome yet; it goes on by itself: eureka-drain show DRAIN_ID")
    return [story for one in sorted(ids) if (story := history.get(one)) is not None]


async def _until_over(history: History, ids: set[str]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(OUTCOME_WITHIN.total_seconds()):
            while not _are_over(history, ids):  # noqa: ASYNC110 - what is waited for is a fold over many events
                await asyncio.sleep(LOOK)


def _are_over(history: History, ids: set[str]) -> bool:
    stories = [history.get(one) for one in ids]
    return all(story and story.parts and story.state in FINAL | {Outcome.out_of_service} for story in stories)


def _report(stories: Sequence[Story], asked: int, good: set[Outcome]) -> int:
    print(drains_table(stories, now(), width=terminal_width()), end="")
    return 0 if len(stories) == asked and all(story.state in good for story in stories) else 1
