"""A region's registry by address, host name and id: one fetch for many drains, refreshed in the background.

It is read through the servers' response caches and may be 30 s old: good for finding, never for proof. Every node is
asked and the answers are joined, so that what only one node knows is found too.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from loguru import logger

from controller.domain.instances import Instance
from controller.domain.ownership import may_share
from controller.domain.pods import Pod
from controller.domain.reason import Reason
from controller.errors import RegistryError
from controller.eureka.node import Node, no_answer, too_slow, trouble
from controller.flows.ports import Clock, IndexMatch

INDEX_INTERVAL = timedelta(seconds=15)
SLOW_NODE_TIMEOUT = 1.0
"""Seconds: a frozen node must not hold up what the others know."""


class Index:
    """The shared index of one region."""

    def __init__(self, *, region: str, nodes: Sequence[Node], clock: Clock) -> None:
        self._region = region
        self._nodes = nodes
        self._clock = clock
        self._fetched_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._by_address: dict[str, list[Instance]] = {}
        self._by_id: dict[str, list[Instance]] = {}
        self._missing: list[Reason] = []
        """The nodes that the last fetch went without, and why."""

    async def keep_fresh(self) -> None:
        """Refresh for ever."""
        while True:
            try:
                await self._refresh()
            except RegistryError as error:
                logger.bind(region=self._region, error=str(error)).warning("registry not fetched")
            await asyncio.sleep(INDEX_INTERVAL.total_seconds())

    async def find(self, pod: Pod, *, not_before: datetime) -> IndexMatch:
        """Look up what stands at the pod's address or host names, in an index at least this new."""
        if self._fetched_at is None or self._fetched_at < not_before:
            await self._refresh()
        found = {
            (instance.app, instance.id): instance
            for name in (pod.ip, *pod.host_names)
            for instance in self._by_address.get(name, ())
            if may_share(pod, instance)
        }
        holders = [holder for _, instance_id in found for holder in self._by_id.get(instance_id, ())]
        return IndexMatch(candidates=tuple(found.values()), holders=tuple(holders))

    async def siblings(self, app: str) -> tuple[Instance, ...]:
        """All instances of an app, in an index that is not older than its refreshing allows."""
        if self._fetched_at is None or self._clock() - self._fetched_at > 2 * INDEX_INTERVAL:
            await self._refresh()
        return tuple(one for holders in self._by_id.values() for one in holders if one.app == app)

    async def everything(self) -> tuple[Instance, ...]:
        """All instances, fetched now. RegistryError unless every node has answered."""
        await self._refresh()
        if self._missing:
            raise no_answer(self._missing)
        return tuple(one for holders in self._by_id.values() for one in holders)

    async def _refresh(self) -> None:
        """Fetch, or join the fetch that is under way."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(), name=f"fetch {self._region}")
            self._fetching.add_done_callback(_look_at)
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        asked_at = self._clock()
        tasks = {asyncio.create_task(node.everything()): node for node in self._nodes}
        try:
            good, troubles = await _answers(tasks)
        finally:
            for task in tasks:
                task.cancel()
        if not good:
            raise no_answer(troubles)
        self._missing = troubles
        self._take(_joined(good))
        self._fetched_at = asked_at

    def _take(self, instances: Iterable[Instance]) -> None:
        by_address: defaultdict[str, list[Instance]] = defaultdict(list)
        by_id: defaultdict[str, list[Instance]] = defaultdict(list)
        for instance in instances:
            by_id[instance.id].append(instance)
            for name in {instance.ip, instance.host_name.lower()} - {""}:
                by_address[name].append(instance)
        self._by_address, self._by_id = dict(by_address), dict(by_id)


async def _answers(tasks: Mapping[asyncio.Task[list[Instance]], Node]) -> tuple[list[list[Instance]], list[Reason]]:
    """Wait for every node; once one has answered, for the others only a little longer than it took."""
    begun = time.monotonic()
    good: list[list[Instance]] = []
    troubles: list[Reason] = []
    waiting = set(tasks)
    timeout: float | None = None
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            troubles += [too_slow(tasks[task].url) for task in waiting]
            break
        for task in done:
            try:
                good.append(task.result())
            except RegistryError as error:
                troubles.append(trouble(tasks[task].url, error))
        if good:
            timeout = max(SLOW_NODE_TIMEOUT, 2 * (time.monotonic() - begun))
    return good, troubles


def _joined(answers: Iterable[list[Instance]]) -> Iterable[Instance]:
    """One of each app and id: the latest registration, where nodes differ."""
    joined: dict[tuple[str, str], Instance] = {}
    for instance in (instance for answer in answers for instance in answer):
        known = joined.get((instance.app, instance.id))
        if known is None or _registered(instance) > _registered(known):
            joined[(instance.app, instance.id)] = instance
    return joined.values()


def _registered(instance: Instance) -> float:
    return instance.registered_at.timestamp() if instance.registered_at else 0.0


def _look_at(task: asyncio.Task[None]) -> None:
    """Nobody may be waiting for it any more: take its exception, so that none is reported as lost."""
    if not task.cancelled():
        task.exception()
