"""Who has taken over what we took out? What the event log says we hold, matched with the pods that live.

Either may come first: the new pod, or the proof that the old one's instance is out of service. So each is matched when
it is told, and all of them once, when the log has been read: then the new pod may have come while nobody watched.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from datetime import timedelta

from loguru import logger

from controller.domain.intervals import backoff
from controller.domain.ledger import HeldInstance, Key, Ledger
from controller.domain.pods import Pod
from controller.domain.takeover import RestoreCommand, make_restore, may_have_taken_over
from controller.domain.tracking import Tracker
from controller.errors import BrokerError
from controller.flows.ports import EventLog, Outbox

MAX_PAIRS = 100_000
"""Pairs of a pod and an instance that a restore was ordered for."""
MAX_BACKOFF = timedelta(seconds=5)


class Takeovers:
    """Orders a restore for each living pod that may hold what a drain took out."""

    def __init__(self, *, cluster: str, tracker: Tracker, ledger: Ledger, log: EventLog, outbox: Outbox) -> None:
        self._cluster = cluster
        self._tracker = tracker
        self._ledger = ledger
        self._log = log
        self._outbox = outbox
        self._ordered: OrderedDict[tuple[str, Key], None] = OrderedDict()
        self._orders: asyncio.Queue[RestoreCommand] = asyncio.Queue()

    def seen(self, pod: Pod) -> None:
        """The API server told this pod's state."""
        if self._log.caught_up:
            self._match(pod, self._ledger.held_at(pod))

    def log_read(self) -> None:
        """The log has been read to its end: find who came while nobody watched."""
        for pod in self._tracker.living():
            self._match(pod, self._ledger.held_at(pod))

    def noted(self, held: HeldInstance) -> None:
        """The log told of an instance that is held from now on."""
        if self._log.caught_up:
            for pod in self._tracker.living_at(held.ip, held.pod.lower()):
                # It may have been given back to this pod before, and taken out once more by a drain that came late.
                self._ordered.pop((pod.uid, held.key), None)
                self._match(pod, (held,))

    def _match(self, pod: Pod, takings: Iterable[HeldInstance]) -> None:
        alive_at = self._tracker.alive_at(pod.uid)
        if alive_at is None or self._ledger.is_going(pod.uid, alive_at):
            return
        by_region: dict[str, list[HeldInstance]] = {}
        for held in takings:
            pair = (pod.uid, held.key)
            if pair not in self._ordered and may_have_taken_over(pod, held):
                self._ordered[pair] = None
                by_region.setdefault(held.region, []).append(held)
        while len(self._ordered) > MAX_PAIRS:
            self._ordered.popitem(last=False)
        for region, found in by_region.items():
            self._orders.put_nowait(make_restore(self._cluster, region, pod, tuple(found), alive_at))

    async def run(self) -> None:
        """Send the orders, each until the broker has confirmed it or the pod is no longer alive."""
        while True:
            await self._send(await self._orders.get())

    async def _send(self, item: RestoreCommand) -> None:
        log = logger.bind(drain=item.drain_id, pod=item.pod.key, region=item.region)
        attempt = 0
        while self._tracker.alive_at(item.pod.uid) is not None:
            attempt += 1
            try:
                await self._outbox.send(item)
            except BrokerError as error:
                log.bind(error=str(error)).warning("restore not confirmed by the broker; sending it again")
                await asyncio.sleep(backoff(attempt, MAX_BACKOFF).total_seconds())
            else:
                log.bind(instances=[held.id for held in item.held]).info("restore ordered")
                return
