"""When drained pods do not run any more: the watch sees it, and every worker is told through the event log.

From then on what is registered with a pod's signs is not the pod's doing. Unlike ``end_publisher``, which says when
a pod ended serving, this waits for the last container. Every replica records the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from controller.domain.bounded_map import BoundedMap
from controller.domain.causes import Cause, has_run
from controller.domain.events import PodGoneEvent, make_gone_event
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Routing, make_commands
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.tracking import Tracker
from controller.flows.ports import Clock
from controller.flows.publisher import Publisher

MAX_PODS = 20_000
"""Pods that are gone, and are kept in mind."""
MAX_AGE = timedelta(hours=1)
"""How old an end may be that is written into another log: by then no drain depends on it any more."""


class GoneRecorder:
    """Records of each drained pod of one cluster that it is gone; and once more when that is proved later."""

    def __init__(self, *, tracker: Tracker, routing: Routing, publisher: Publisher, clock: Clock) -> None:
        self._tracker = tracker
        self._routing = routing
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
