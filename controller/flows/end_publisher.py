"""When drained pods ended serving: the watch sees it, and publishes it to the stream that verdicts are read from.

Less urgent than any drain, and never in its way: an end waits until no command does, and in a bounded queue. Every
replica of the watch publishes the same end; readers count it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from loguru import logger

from controller.bounds import MAX_GOING_BYTES, MAX_GOING_PODS
from controller.domain.bounded_map import BoundedMap, WeighedMap
from controller.domain.causes import Cause, is_worth_draining, outlives_its_object
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Routing, make_commands
from controller.domain.shutdown.pod_details import PodDetails, weight_of
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.shutdown.serving_end import ServingEnd, serving_end
from controller.domain.shutdown.workloads import workload_of
from controller.errors import BrokerError
from controller.flows.backoff import Backoff
from controller.flows.bounded_queue import BoundedQueue
from controller.flows.ports import Clock, Outbox
from controller.flows.priority import PriorityGate

MAX_WAITING = 20_000
"""Ends that wait for the broker; the oldest are dropped."""
MAX_BACKOFF = timedelta(seconds=15)
MAX_DRAIN_IDS = 256
"""For one pod, a region each: what fits the wire."""
MAX_WHY_LENGTH = 500
"""Characters: hooks may be long."""
UNSEEN = "no watch saw it end"


class EndPublisher:
    """Publishes the end of each drained pod of one cluster, once."""

    def __init__(self, *, routing: Routing, outbox: Outbox, priority: PriorityGate, clock: Clock) -> None:
        self._routing = routing
        self._outbox = outbox
        self._priority = priority
        self._clock = clock
        self._going: WeighedMap[str, PodDetails] = WeighedMap(
            MAX_GOING_PODS, max_weight=MAX_GOING_BYTES, weigh=weight_of
        )
        """By uid, as they were seen last before their nodes removed them."""
        self._published: BoundedMap[str, None] = BoundedMap(MAX_GOING_PODS)
        self._waiting: BoundedQueue[PodEnd] = BoundedQueue(MAX_WAITING, what="pods' ends wait for the broker")

    @property
    def waiting(self) -> int:
        """Return how many are not confirmed by the broker yet."""
        return len(self._waiting)

    def listed(self, pods: Sequence[Pod], vanished: Sequence[Pod]) -> None:
        """Take a complete list: some pods have ended, and of others no watch saw how."""
        for pod in pods:
            # A list is read without details: a pod on its way out is seen by its next change, or its removal.
            if pod.finished and not pod.terminating:
                self.changed(pod, PodDetails(pod=pod))
        for pod in vanished:
            last = self._going.pop(pod.uid) or PodDetails(pod=pod)
            self._put(last, serving_end(last))

    def changed(self, pod: Pod, details: PodDetails | None) -> None:
        """Take a pod that is on its way out as it is now."""
        if details is None or pod.uid in self._published:
            return
        before = self._going.get(pod.uid)
        if before is not None and not details.pod.ip:
            # A status may lose its address near the end; the registry still knows the one it had.
            details = replace(details, pod=replace(details.pod, ip=before.pod.ip))
        if pod.terminating:
            self._going[pod.uid] = details
        # Hooks are read only when something has ended: a rollout's pods change many times.
        ending = serving_end(details) if details.ends or pod.finished else None
        if ending is not None:
            self._put(details, ending)

    def removed(self, pod: Pod, details: PodDetails | None, *, seen: bool = True) -> None:
        """Take a pod whose object is gone; not ``seen``: it was removed while no watch ran."""
        before = self._going.pop(pod.uid)
        if pod.uid in self._published:
            return
        last = details or PodDetails(pod=pod)
        if before is not None:
            # The node's own deletion, when all is over, has no grace period.
            asked = before.pod
            pod = replace(pod, ip=pod.ip or asked.ip, deletion_at=asked.deletion_at, grace_seconds=asked.grace_seconds)
            last = replace(last, pod=pod)
        self._put(last, serving_end(last, removed_at=self._clock() if seen else None))

    def _put(self, details: PodDetails, ending: ServingEnd | None) -> None:
        pod, now = details.pod, self._clock()
        if pod.uid in self._published or outlives_its_object(pod) or not is_worth_draining(pod, now):
            return
        self._published[pod.uid] = None
        decisions = make_commands(pod, Cause.terminating, now, self._routing)
        drain_ids = tuple(one.command.drain_id for one in decisions if isinstance(one, Publish))
        if not drain_ids:
            return
        workload = workload_of(details)
        end = PodEnd(
            cluster=self._routing.cluster,
            drain_ids=drain_ids[:MAX_DRAIN_IDS],
            namespace=pod.namespace,
            pod=pod.name,
            uid=pod.uid,
            kind=workload.kind,
            workload=workload.name,
            template=details.template,
            at=now,
            ended_at=ending.at if ending else None,
            end_cause=ending.end_cause if ending else EndCause.unknown,
            why=(ending.why if ending else UNSEEN)[:MAX_WHY_LENGTH],
        )
        self._waiting.put(end)

    async def run(self) -> None:
        """Publish them one by one, for ever."""
        while True:
            await self._waiting.first()
            await self._priority.wait_until_idle()
            await self._see_through(await self._waiting.first())

    async def _see_through(self, end: PodEnd) -> None:
        log, backoff = logger.bind(pod=f"{end.namespace}/{end.pod}"), Backoff(longest=MAX_BACKOFF)
        while self._waiting.holds(end):
            try:
                await self._outbox.publish_end(end)
            except BrokerError as error:
                log.bind(error=str(error), attempt=backoff.attempt + 1).debug("a pod's end is not published yet")
                await backoff.wait()
                continue
            except Exception as error:  # a mistake of ours about one pod's end must not end the watch
                log.bind(error=f"{type(error).__name__}: {error}").error("a pod's end cannot be published")
            self._waiting.done(end)
