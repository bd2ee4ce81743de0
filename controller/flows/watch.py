"""The watch: what the API server says goes into the tracker, and from there to whoever listens.

It only notes, and never waits: a broker that is away does not slow it down. Those who listen: ``dispatcher`` sends what
is due, ``restore_dispatcher`` restores what living pods took over, ``end_publisher`` notes when drained pods ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol, assert_never

from loguru import logger

from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.tracking import Tracker
from controller.domain.watch_contact import WatchContact
from controller.flows.ports import (
    Alive,
    Changed,
    Clock,
    Listed,
    NodeFeed,
    PodFeed,
    Removed,
    Sighting,
    Unselected,
)


class PodListener(Protocol):
    """Learns what the API server says, after the tracker."""

    def listed(self, pods: Sequence[Pod], vanished: Sequence[Pod]) -> None:
        """Take a complete list, and the pods that are missing from it."""
        ...

    def changed(self, pod: Pod, details: PodDetails | None) -> None:
        """Take a pod's newest state."""
        ...

    def removed(self, pod: Pod, details: PodDetails | None, *, seen: bool = True) -> None:
        """Take it that a pod's object is gone; not ``seen``: it went while nobody watched."""
        ...


class Watch:
    """The pods of one cluster, or of some of its namespaces, each by a feed of its own."""

    def __init__(
        self,
        *,
        feeds: Sequence[PodFeed],
        nodes: NodeFeed | None = None,
        tracker: Tracker,
        listeners: Iterable[PodListener],
        clock: Clock,
    ) -> None:
        """Without ``nodes`` it is not known when one of them shuts down."""
        self.feeds = feeds
        self._nodes = nodes
        self._tracker = tracker
        self._listeners = tuple(listeners)
        self._clock = clock
        self._listed: set[int] = set()
        self.all_listed = asyncio.Event()
        """Set once every feed has given its first list: only then is it known which pods are there."""

    @property
    def ready(self) -> bool:
        """True once every feed has given its first list."""
        return len(self._listed) == len(self.feeds)

    async def run(self) -> None:
        """Follow every feed, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for number, feed in enumerate(self.feeds):
                tasks.create_task(self._follow(number, feed), name=f"watch-{number}")
                tasks.create_task(self._follow_unselected(feed), name=f"unselected-{number}")
            if self._nodes is not None:
                tasks.create_task(self._follow_nodes(self._nodes), name="nodes")

    async def _follow(self, number: int, feed: PodFeed) -> None:
        contact = WatchContact()
        async for sighting in feed.follow():
            now = self._clock()
            if isinstance(sighting, Listed):
                self._take_list(sighting, now, seen_until=contact.listed(now))
                self._listed.add(number)
                if self.ready:
                    self.all_listed.set()
            else:
                self._take(sighting, now, seen_until=contact.heard(now))

    async def _follow_unselected(self, feed: PodFeed) -> None:
        async for sighting in feed.follow_unselected():
            self._take(sighting, self._clock(), seen_until=None)

    async def _follow_nodes(self, nodes: NodeFeed) -> None:
        async for node in nodes.follow():
            if node.shutting_down is None:
                continue
            for pod in self._tracker.node_changed(node.name, self._clock(), shutting_down=node.shutting_down):
                self._report_change(pod, None)

    def _take_list(self, listed: Listed, now: datetime, *, seen_until: datetime | None) -> None:
        scope, pods, unselected = listed.scope, listed.pods, listed.unselected
        vanished = self._tracker.listed(scope, pods, now, seen_until=seen_until, unselected=unselected)
        for listener in self._listeners:
            with _contained(listener, *vanished):
                listener.listed(pods, vanished)

    def _take(self, sighting: Sighting, now: datetime, *, seen_until: datetime | None) -> None:
        match sighting:
            case Changed(pod=pod, details=details):
                self._tracker.changed(pod, now)
                self._report_change(pod, details)
            case Removed(pod=pod, details=details):
                self._tracker.removed(pod, now, seen_until=seen_until)
                for listener in self._listeners:
                    with _contained(listener, pod):
                        listener.removed(pod, details, seen=seen_until is None)
            case Unselected(uid=uid):
                self._tracker.forget(uid)
            case Listed():
                self._take_list(sighting, now, seen_until=seen_until)
            case Alive():
                pass
            case _:
                assert_never(sighting)

    def _report_change(self, pod: Pod, details: PodDetails | None) -> None:
        for listener in self._listeners:
            with _contained(listener, pod):
                listener.changed(pod, details)

    def note_missed(self, removed: Removed, *, answered: bool, seen_until: datetime) -> None:
        """Take a removal that nobody watched; ``answered``: a worker has taken its drains up already.

        ``seen_until``: until when another watch has seen everything.
        """
        take = self._tracker.missed if answered else self._tracker.removed
        take(removed.pod, self._clock(), seen_until=seen_until)
        for listener in self._listeners:
            with _contained(listener, removed.pod):
                listener.removed(removed.pod, removed.details, seen=False)

    @property
    def backlog(self) -> int:
        """How many pods wait for the broker's confirmation."""
        return self._tracker.backlog


@contextmanager
def _contained(listener: PodListener, *pods: Pod) -> Iterator[None]:
    """Contain a mistake of ours about one pod: it must not stop the drains of all others."""
    try:
        yield
    except Exception as error:
        names = ", ".join(pod.key for pod in pods[:3])
        log = logger.bind(listener=type(listener).__name__, pods=names, error=f"{type(error).__name__}: {error}")
        log.error("a change of these pods was not followed")
