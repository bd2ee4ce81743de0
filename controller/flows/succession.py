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

from controller.domain.ledger import Key, Ledger, Taken
from controller.domain.pods import Pod
from controller.domain.restore import Restore, may_hold, restore_of
from controller.domain.schedule import backoff
from controller.domain.tracking import Tracker
from controller.errors import BrokerError
from controller.flows.ports import EventLog, Outbox

REMEMBERED = 100_000
"""Pairs of a pod and an instance that a restore was ordered for."""
LONGEST_PAUSE = timedelta(seconds=5)


class Succession:
    """Orders a restore for each living pod that may hold what a drain took out."""

    def __init__(self, *, cluster: str, tracker: Tracker, ledger: Ledger, log: EventLog, outbox: Outbox) -> None:
        self._cluster = cluster
        self._tracker = tracker
        self._ledger = ledger
        self._log = log
        self._outbox = outbox
        self._ordered: OrderedDict[tuple[str, Key], None] = OrderedDict()
        self._orders: asyncio.Queue[Restore] = asyncio.Queue()

    def seen(self, pod: Pod) -> None:
        """The API server told this pod's state."""
        if self._log.caught_up:
            self._match(pod, self._ledger.held_at(pod))

    def log_read(self) -> None:
        """The log has been read to its end: find who came while nobody watched."""
        for pod in self._tracker.living():
            self._match(pod, self._ledger.held_at(pod))

    def noted(self, taken: Taken) -> None:
        """The log told of an instance that is held from now on."""
        if self._log.caught_up:
            for pod in self._tracker.living_at(taken.ip, taken.pod.lower()):
                # It may have been given back to this pod before, and taken out once more by a drain that came late.
                self._ordered.pop((pod.uid, taken.key), None)
                self._match(pod, (taken,))

    def _match(self, pod: Pod, takings: Iterable[Taken]) -> None:
        alive_at = self._tracker.alive_at(pod.uid)
        if alive_at is None or self._ledger.is_going(pod.uid, alive_at):
            return
        by_region: dict[str, list[Taken]] = {}
        for taken in takings:
            pair = (pod.uid, taken.key)
            if pair not in self._ordered and may_hold(pod, taken):
                self._ordered[pair] = None
                by_region.setdefault(taken.region, []).append(taken)
        while len(self._ordered) > REMEMBERED:
            self._ordered.popitem(last=False)
        for region, found in by_region.items():
            self._orders.put_nowait(restore_of(self._cluster, region, pod, tuple(found), alive_at))

    async def run(self) -> None:
        """Send the orders, each until the broker has confirmed it or the pod is no longer alive."""
        while True:
            await self._send(await self._orders.get())

    async def _send(self, order: Restore) -> None:
        log = logger.bind(drain=order.drain_id, pod=order.pod.key, region=order.region)
        attempt = 0
        while self._tracker.alive_at(order.pod.uid) is not None:
            attempt += 1
            try:
                await self._outbox.send(order)
            except BrokerError as error:
                log.bind(error=str(error)).warning("restore not confirmed by the broker; sending it again")
                await asyncio.sleep(backoff(attempt, LONGEST_PAUSE).total_seconds())
            else:
                log.bind(instances=[taken.id for taken in order.taken]).info("restore ordered")
                return
