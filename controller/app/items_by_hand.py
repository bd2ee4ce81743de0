"""What a person asks for by hand of one living pod: the messages, made from what the API server and the log say now."""

from __future__ import annotations

import json
from collections.abc import Sequence

from controller.app.assembly import event_log, mentions, now, read_log, routing_of, track
from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem
from controller.domain.ledger import Ledger
from controller.domain.manual_commands import drains_of, restores_of
from controller.domain.replay_plan import Requester
from controller.errors import DeclinedError
from controller.kube.client import KubeApi
from controller.kube.corrected_feed import ClusterClock
from controller.kube.listing import read_pod
from controller.settings import Settings
from controller.signals import beside


async def drains_by_hand(settings: Settings, key: tuple[str, str], requester: Requester) -> list[DrainCommand]:
    """Return the commands that take a living pod out of service; DeclinedError says why there are none."""
    async with KubeApi() as api:
        cluster_clock = ClusterClock(api.date, clock=now)
        await cluster_clock.measure()
        pod = cluster_clock.corrected(await read_pod(api, *key))
        _, tracker = await track(api, namespaces=[key[0]], page_size=settings.watch.page_size)
    items = drains_of(pod, routing_of(settings), tracker.sharing(pod), requester)
    if isinstance(items, str):
        raise DeclinedError(f"{pod.key} is not drained: {items}")
    return items


async def restores_by_hand(settings: Settings, key: tuple[str, str], requester: Requester) -> list[RestoreCommand]:
    """Return the commands that put back what a drain has taken out; DeclinedError says why there are none."""
    async with KubeApi() as api:
        pod = await read_pod(api, *key)
    ledger = Ledger(settings.watch.cluster)
    # What was drained at its name, or at one of its addresses: all that the ledger is asked for here.
    wanted = mentions(json.dumps(one) for one in (pod.name, *pod.addresses))
    log = event_log(settings, look_back=settings.broker.events_kept, wanted=wanted)
    log.readers.append(ledger.apply)
    async with beside(log.link.run):
        await read_log(log)
        items = restores_of(pod, settings.watch.cluster, ledger.held_at(pod), requester)
    if isinstance(items, str):
        raise DeclinedError(f"{pod.key} is not restored: {items}")
    return items


def drain_ids_of(items: Sequence[WorkItem]) -> set[str]:
    """Return the drains whose records show what comes of these messages."""
    return {
        drain_id
        for item in items
        for drain_id in ([item.drain_id] if isinstance(item, DrainCommand) else [held.drain_id for held in item.held])
    }
