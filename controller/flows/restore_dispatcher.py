"""Who has taken over what we took out? What the event log says we hold, matched with the pods that live.

Either may come first: the new pod, or the proof that the old one's instance is out of service. So each is matched when
it comes, and all of them once, when the log has been read: then the new pod may have come while nobody watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

from loguru import logger

from controller.domain.bounded_map import BoundedMap
from controller.domain.commands import RestoreCommand, make_restore
from controller.domain.events import LogEntry
from controller.domain.held_instances import HeldInstance, InstanceKey
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.restore import may_have_taken_over
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.tracking import Tracker
from controller.errors import BrokerError
from controller.flows.backoff import Backoff
from controller.flows.ports import EventLog, Outbox

MAX_PAIRS = 100_000
"""Pairs of a pod and an instance that a restore was sent for."""
MAX_BACKOFF = timedelta(seconds=5)


class RestoreDispatcher:
    """Sends a restore for each living pod that may hold what a drain took out."""

    def __init__(self, *, cluster: str, tracker: Tracker, ledger: Ledger, log: EventLog, outbox: Outbox) -> None:
        self._cluster = cluster
        self._tracker = tracker
        self._ledger = ledger
        self._log = log
        self._outbox = outbox
        self._matched: BoundedMap[tuple[str, InstanceKey], None] = BoundedMap(MAX_PAIRS)
        self._commands: asyncio.Queue[RestoreCommand] = asyncio.Queue()

    def listed(self, pods: Sequence[Pod], vanished: Sequence[Pod]) -> None:  # noqa: ARG002
        """Match every pod of a list."""
        for pod in pods:
            self.changed(pod, None)

    def changed(self, pod: Pod, details: PodDetails | None) -> None:  # noqa: ARG002
        """Match a pod that the API server has shown."""
        if self._log.caught_up:
            self._match(pod, self._ledger.held_at(pod))

    def removed(self, pod: Pod, details: PodDetails | None, *, seen: bool = True) -> None:
        """Do nothing: a pod that is gone takes nothing over."""

    def log_read(self) -> None:
        """Find who came while nobody watched: the log has been read to its end."""
        for pod in self._tracker.living():
            self._match(pod, self._ledger.held_at(pod))

    def apply(self, entry: LogEntry) -> None:
        """Take the next entry of the log, into the ledger first."""
        held = self._ledger.apply(entry)
        if held is not None:
            self._match_held(held)

    def _match_held(self, held: HeldInstance) -> None:
        if self._log.caught_up:
            for pod in self._tracker.living_at(held.ip, held.pod.lower()):
                # It may have been given back to this pod before, and taken out once more by a drain that came late.
                self._matched.pop((pod.uid, held.key), None)
                self._match(pod, (held,))

    def _match(self, pod: Pod, held_instances: Iterable[HeldInstance]) -> None:
        alive_at = self._tracker.alive_at(pod.uid)
        if alive_at is None or self._ledger.is_going(pod.uid, alive_at):
            return
        by_region: dict[str, list[HeldInstance]] = {}
        for held in held_instances:
            pair = (pod.uid, held.key)
            if pair not in self._matched and may_have_taken_over(pod, held):
                self._matched[pair] = None
                by_region.setdefault(held.region, []).append(held)
        for region, found in by_region.items():
            self._commands.put_nowait(make_restore(self._cluster, region, pod, tuple(found), alive_at))

    async def run(self) -> None:
        """Send the restores, each until the broker has confirmed it or the pod is no longer alive."""
        while True:
            await self._send(await self._commands.get())

    async def _send(self, item: RestoreCommand) -> None:
        log = logger.bind(drain=item.drain_id, pod=item.pod.key, region=item.region)
        backoff = Backoff(longest=MAX_BACKOFF)
        while self._tracker.alive_at(item.pod.uid) is not None:
            try:
                await self._outbox.send(item)
            except BrokerError as error:
                log.bind(error=str(error)).warning("restore not confirmed by the broker; sending it again")
                await backoff.wait()
            else:
                log.bind(instances=[held.id for held in item.held]).info("restore sent")
                return
