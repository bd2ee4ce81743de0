"""When drained pods do not run any more: the watch sees it, and every worker is told through the event log.

From then on what is registered with a pod's signs is not the pod's doing. Unlike ``end_publisher``, which says when
a pod ended serving, this waits for the last container. Every replica records the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from controller.domain.bounded_map import BoundedMap
from controller.domain.causes import Cause, has_run
from controller.domain.events import PodGoneEvent, make_gone_event, make_missing_event
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Routing, make_commands
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.tracking import Tracker
from controller.flows.ports import Clock, EventLog
from controller.flows.publisher import Publisher

MAX_PODS = 20_000
"""Pods that are gone, and are kept in mind."""
MAX_AGE = timedelta(hours=1)
"""How old an end may be that is written into another log: by then no drain depends on it any more."""

ROUND_INTERVAL = 60.0
"""Seconds between two looks for drained pods that are not there."""
MISSING_AFTER = timedelta(minutes=5)
"""How long ago a pod must have begun to go that is called missing: this watch's API server may lag behind another's."""


class GoneRecorder:
    """Records of each drained pod of one cluster that it is gone; and once more when that is proved later."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        routing: Routing,
        scopes: Sequence[str],
        ledger: Ledger,
        log: EventLog,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        """``scopes``: the namespaces that are watched, empty for all."""
        self._tracker = tracker
        self._routing = routing
        self._scopes = frozenset(scopes)
        self._ledger = ledger
        self._log = log
        self._publisher = publisher
        self._clock = clock
        self._recorded: BoundedMap[str, tuple[PodGoneEvent, ...]] = BoundedMap(MAX_PODS)
        """By uid: what was recorded, for each region."""

    def listed(self, pods: Sequence[Pod], vanished: Sequence[Pod]) -> None:
        """Take a complete list: what is missing has gone."""
        for pod in (*pods, *vanished):
            self.changed(pod, None)

    def changed(self, pod: Pod, details: PodDetails | None) -> None:  # noqa: ARG002
        """Take a pod as it is now."""
        for one in (pod, *self._tracker.displaced_by(pod)):
            self._record(one)

    def removed(self, pod: Pod, details: PodDetails | None, *, seen: bool = True) -> None:  # noqa: ARG002
        """Take a pod whose object is gone."""
        self._record(pod)

    def log_replaced(self) -> None:
        """Write the newest ends once more: the log that held them is no more. What comes twice changes nothing."""
        now = self._clock()
        for events in self._recorded.values():
            for event in events:
                if now - event.at < MAX_AGE:
                    self._publisher.note(event)

    async def run(self, sees_everything: Callable[[], bool]) -> None:
        """Look for drained pods whose end no watch has seen, or only one whose word was lost, for ever.

        Such a drain would never learn that what heartbeats under its id is somebody else.
        """
        while True:
            await asyncio.sleep(ROUND_INTERVAL)
            if sees_everything() and self._log.caught_up:
                self._record_missing()

    def _record_missing(self) -> None:
        now = self._clock()
        for held in self._ledger.held_of_unknown_end(now - MISSING_AFTER):
            is_watched = "" in self._scopes or held.namespace in self._scopes
            if is_watched and not self._tracker.has(held.uid):
                self._publisher.note(make_missing_event(held, self._routing.cluster, now))

    def _record(self, pod: Pod) -> None:
        gone = self._tracker.gone(pod.uid)
        if gone is None or not has_run(pod):
            return
        recorded = self._recorded.get(pod.uid)
        if recorded is not None and (not gone.proved or not recorded or recorded[0].proved):
            return
        now = self._clock()
        events = tuple(
            make_gone_event(decision.command, gone.at, now, proved=gone.proved)
            for decision in make_commands(pod, Cause.deleted, now, self._routing)
            if isinstance(decision, Publish)
        )
        self._recorded[pod.uid] = events
        for event in events:
            self._publisher.note(event)
