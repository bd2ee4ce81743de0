"""When drained pods ended serving: the watch sees it, and tells the stream that verdicts are read from.

Less urgent than any drain, and never in its way: an end waits until no command does, and in a bounded queue. Every
replica of the watch tells the same; readers take what is told twice once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from loguru import logger

from controller.domain.causes import Cause, is_worth_draining
from controller.domain.intervals import backoff
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Routing, make_commands
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.shutdown.serving_end import ServingEnd, serving_end
from controller.domain.shutdown.workloads import workload_of
from controller.errors import BrokerError
from controller.flows.backlog import Backlog
from controller.flows.ports import Clock, Outbox
from controller.flows.priority import PriorityGate

MAX_WAITING = 20_000
"""Ends that wait for the broker; the oldest are dropped."""
MAX_PODS = 20_000
"""Pods on their way out, and pods whose end has been told."""
MAX_BACKOFF = timedelta(seconds=15)
MAX_DRAIN_IDS = 256
"""Of one pod, a region each: what fits the wire."""
MAX_WHY_LENGTH = 500
"""Characters: hooks may be long."""
_T = TypeVar("_T")
UNSEEN = "nobody saw it end"


class EndPublisher:
    """Tells the end of each drained pod of one cluster, once."""

    def __init__(self, *, routing: Routing, outbox: Outbox, priority: PriorityGate, clock: Clock) -> None:
        self._routing = routing
        self._outbox = outbox
        self._priority = priority
        self._clock = clock
        self._going: OrderedDict[str, PodDetails] = OrderedDict()
        """By uid, as they were seen last before their nodes removed them."""
        self._told: OrderedDict[str, None] = OrderedDict()
        self._waiting: Backlog[PodEnd] = Backlog(MAX_WAITING, what="pods' ends wait for the broker")

    @property
    def waiting(self) -> int:
        """How many are not in the broker's hands yet."""
        return len(self._waiting)

    def listed(self, pods: tuple[Pod, ...], vanished: list[Pod]) -> None:
        """A complete list came: some have ended, and of others nobody saw how."""
        for pod in pods:
            # A list tells nothing of containers: what is going is judged by its next change, or its removal.
            if pod.finished and not pod.terminating:
                self.changed(pod, PodDetails(pod=pod))
        for pod in vanished:
            last = self._going.pop(pod.uid, None) or PodDetails(pod=pod)
            self._tell(last, serving_end(last))

    def changed(self, pod: Pod, stay: PodDetails | None) -> None:
        """A pod that is on its way out was seen again."""
        if stay is None or pod.uid in self._told:
            return
        before = self._going.get(pod.uid)
        if before is not None and not stay.pod.ip:
            # A status may lose its address near the end; the registry still knows the one it had.
            stay = replace(stay, pod=replace(stay.pod, ip=before.pod.ip))
        if pod.terminating:
            _remember(self._going, pod.uid, stay)
        # Hooks are read only when something has ended: a rollout's pods change many times.
        ending = serving_end(stay) if stay.ends or pod.finished else None
        if ending is not None:
            self._tell(stay, ending)

    def removed(self, pod: Pod, stay: PodDetails | None, *, seen: bool = True) -> None:
        """A pod's object is gone; not ``seen``: it has gone while nobody watched, and is told of later."""
        before = self._going.pop(pod.uid, None)
        if pod.uid in self._told:
            return
        last = stay or PodDetails(pod=pod)
        if before is not None:
            # The node's own deletion, when all is over, has no grace period.
            asked = before.pod
            pod = replace(pod, ip=pod.ip or asked.ip, deletion_at=asked.deletion_at, grace_seconds=asked.grace_seconds)
            last = replace(last, pod=pod)
        self._tell(last, serving_end(last, removed_at=self._clock() if seen else None))

    def _tell(self, stay: PodDetails, ending: ServingEnd | None) -> None:
        pod, now = stay.pod, self._clock()
        if pod.uid in self._told or not is_worth_draining(pod, now):
            return
        _remember(self._told, pod.uid, None)
        decisions = make_commands(pod, Cause.terminating, now, self._routing)
        drain_ids = tuple(one.command.drain_id for one in decisions if isinstance(one, Publish))
        if not drain_ids:
            return
        workload = workload_of(stay)
        end = PodEnd(
            cluster=self._routing.cluster,
            drain_ids=drain_ids[:MAX_DRAIN_IDS],
            namespace=pod.namespace,
            pod=pod.name,
            uid=pod.uid,
            kind=workload.kind,
            workload=workload.name,
            at=now,
            ended_at=ending.at if ending else None,
            end_cause=ending.end_cause if ending else EndCause.unknown,
            why=(ending.why if ending else UNSEEN)[:MAX_WHY_LENGTH],
        )
        self._waiting.put(end)

    async def run(self) -> None:
        """Tell them one by one, for ever."""
        while True:
            await self._waiting.first()
            await self._priority.wait_until_idle()
            await self._see_through(await self._waiting.first())

    async def _see_through(self, end: PodEnd) -> None:
        log, attempt = logger.bind(pod=f"{end.namespace}/{end.pod}"), 0
        while self._waiting.holds(end):
            attempt += 1
            try:
                await self._outbox.publish_end(end)
            except BrokerError as error:
                log.bind(error=str(error), attempt=attempt).debug("this pod's end is not told yet")
                await asyncio.sleep(backoff(attempt, MAX_BACKOFF).total_seconds())
                continue
            except Exception as error:  # a mistake of ours about one pod's end must not end the watch
                log.bind(error=f"{type(error).__name__}: {error}").error("this pod's end cannot be told")
            self._waiting.done(end)


@contextmanager
def contain_errors_about(*pods: Pod) -> Iterator[None]:
    """A mistake of ours about how a pod ended must not stop the drains of all others."""
    try:
        yield
    except Exception as error:
        names = ", ".join(pod.key for pod in pods[:3])
        logger.bind(pods=names, error=f"{type(error).__name__}: {error}").error("how these pods ended cannot be told")


def _remember(kept: OrderedDict[str, _T], uid: str, what: _T) -> None:
    kept[uid] = what
    kept.move_to_end(uid)
    while len(kept) > MAX_PODS:
        kept.popitem(last=False)
