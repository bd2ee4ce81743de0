"""Kubernetes Events at pods: what became of their drains, and how they ended, as the streams say.

A courtesy, and never more: it is read from the log beside everything else, waits in a bounded queue, and is lost
rather than allowed to hold anything up. What was recorded before a restart is recorded once more under the same name,
which changes nothing; so is what another replica has recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from loguru import logger

from controller.domain.bounded_map import BoundedMap
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, LogEntry
from controller.domain.kubernetes_events import KubernetesEvent, addressed_to, drain_event, linked, shutdown_event
from controller.domain.pods import Owner
from controller.domain.shutdown.verdict import Shutdown
from controller.errors import KubernetesError
from controller.flows.backoff import Backoff
from controller.flows.bounded_queue import BoundedQueue
from controller.flows.ports import Clock, EventRecorder, Recorded, RecordForbidden, Unrecordable

STARTUP_LOOKBACK = timedelta(minutes=5)
"""How long before the start something may have happened and still be recorded: a restart takes less."""
FIRST_DELAY = timedelta(seconds=1)
"""How long an Event waits first: the drain's beginning, which names the pod's owner, may come after its success."""
MIN_INTERVAL = timedelta(milliseconds=50)
"""Between two Events: a rollout of a thousand pods must not keep an API server busy with them."""
MAX_WAITING = 2_000
"""Events that wait; one takes about a kilobyte."""
MAX_OWNERS = 20_000
"""Owners that are kept in mind, those of the pods that went last."""
MAX_ATTEMPTS = 10
"""With one Event; the next one is tried then, since the trouble may be with the first."""
MAX_BACKOFF = timedelta(seconds=30)
FORBIDDEN_RETRY_INTERVAL = timedelta(minutes=5)
"""How often a namespace is tried in which we may not create Events."""


class PodEvents:
    """Records Events at one cluster's pods, or those of the namespaces that are watched (an empty one: all)."""

    def __init__(
        self,
        *,
        cluster: str,
        scopes: Sequence[str],
        event_recorder: EventRecorder,
        is_there: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        """``is_there`` says of a uid whether the API server still has that pod."""
        self._cluster = cluster
        self._scopes = frozenset(scopes)
        self._event_recorder = event_recorder
        self._is_there = is_there
        self._clock = clock
        self.page_url = ""
        """Where people reach the page: each Event links to its drain there."""
        self._from = clock() - STARTUP_LOOKBACK
        self._owners: BoundedMap[str, Owner] = BoundedMap(MAX_OWNERS)
        self._waiting: BoundedQueue[tuple[KubernetesEvent, datetime]] = BoundedQueue(
            MAX_WAITING, what="Kubernetes Events wait"
        )
        self._silent_until: dict[str, datetime] = {}
        """Namespaces in which we may not create Events."""
        self._complained = False

    def apply(self, event: LogEntry) -> None:
        """Take the next entry of the log."""
        if not isinstance(event, Event) or event.cluster != self._cluster or not self._covers(event.namespace):
            return
        if event.facts is not None and event.facts.owner is not None:
            self._owners[event.uid] = event.facts.owner
        kubernetes_event = drain_event(event) if event.at >= self._from else None
        if kubernetes_event is not None:
            self._put(kubernetes_event)

    def apply_shutdown(self, record: DrainRecord, shutdown: Shutdown) -> None:
        """Take the verdict on a pod's shutdown."""
        if record.cluster != self._cluster or not self._covers(record.namespace):
            return
        event = shutdown_event(record, shutdown)
        if event is not None and event.at >= self._from:
            self._put(event)

    def _covers(self, namespace: str) -> bool:
        return "" in self._scopes or namespace in self._scopes

    def _put(self, event: KubernetesEvent) -> None:
        self._waiting.put((event, self._clock() + FIRST_DELAY))

    async def run(self) -> None:
        """Record them one by one, for ever."""
        while True:
            event, due_at = await self._waiting.take()
            await asyncio.sleep(max((due_at - self._clock()).total_seconds(), 0.0))
            if self._may_try(event.namespace):
                await self._see_through(event)
                await asyncio.sleep(MIN_INTERVAL.total_seconds())

    def _may_try(self, namespace: str) -> bool:
        until = self._silent_until.get(namespace)
        return until is None or self._clock() >= until

    async def _see_through(self, event: KubernetesEvent) -> None:
        log = logger.bind(pod=f"{event.namespace}/{event.pod}", event=event.reason)
        backoff = Backoff(longest=MAX_BACKOFF)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                await self._record(self._addressed(event))
            except KubernetesError as error:
                level = "WARNING" if attempt == 1 else "DEBUG"
                log.bind(error=str(error), attempt=attempt).log(level, "Kubernetes does not take an Event")
                await backoff.wait()
            except Exception as error:  # a mistake of ours about a courtesy must not end the watch
                log.bind(error=f"{type(error).__name__}: {error}").error("this Event cannot be recorded")
                return
            else:
                return
        log.debug("this Event is dropped")

    def _addressed(self, event: KubernetesEvent) -> KubernetesEvent:
        """Address it to what can be described: the pod, or its owner once the pod is gone."""
        owner = self._owners.get(event.uid)
        addressed = event if owner is None or self._is_there(event.uid) else addressed_to(event, owner)
        return linked(addressed, self.page_url)

    async def _record(self, event: KubernetesEvent) -> None:
        match await self._event_recorder.record(event):
            case Recorded():
                if self._silent_until.pop(event.namespace, None):
                    self._complained = False
            case Unrecordable(why=why):
                logger.bind(namespace=event.namespace, reason=why).debug("an Event cannot be recorded there any more")
            case RecordForbidden(why=why):
                self._keep_silent(event.namespace, why)
            case result:
                assert_never(result)

    def _keep_silent(self, namespace: str, why: str) -> None:
        now = self._clock()
        self._silent_until = {
            name: until for name, until in self._silent_until.items() if until + FORBIDDEN_RETRY_INTERVAL > now
        }
        self._silent_until[namespace] = now + FORBIDDEN_RETRY_INTERVAL
        if not self._complained:
            self._complained = True
            logger.bind(namespace=namespace, error=why).warning(
                "no Kubernetes Events at pods: grant the watch's service account the verb create on events, "
                "or set watch.kubernetes_events to false"
            )
