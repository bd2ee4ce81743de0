"""The watch: what the API server says goes into the tracker, and from there to whoever listens.

It only notes, and never waits: a broker that is away does not slow it down. Those who listen: ``dispatcher`` sends what
is due, ``restore_dispatcher`` restores what living pods took over, ``end_publisher`` notes when drained pods ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, assert_never

from loguru import logger

from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.tracking import Tracker
from controller.flows.ports import Alive, Changed, Clock, Listed, PodFeed, Removed, Unselected


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
        self, *, feeds: Sequence[PodFeed], tracker: Tracker, listeners: Iterable[PodListener], clock: Clock
    ) -> None:
        self.feeds = feeds
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

    async def _follow(self, number: int, feed: PodFeed) -> None:
        async for sighting in feed.follow():
            now = self._clock()
            match sighting:
                case Listed(scope=scope, pods=pods):
                    vanished = self._tracker.listed(scope, pods, now)
                    self._listed.add(number)
                    for listener in self._listeners:
                        with _contained(listener, *vanished):
                            listener.listed(pods, vanished)
                    if self.ready:
                        self.all_listed.set()
                case Changed(pod=pod, details=details):
                    self._tracker.changed(pod, now)
                    for listener in self._listeners:
                        with _contained(listener, pod):
                            listener.changed(pod, details)
                case Removed(pod=pod, details=details):
                    self._tracker.removed(pod, now)
                    for listener in self._listeners:
                        with _contained(listener, pod):
                            listener.removed(pod, details)
                case Unselected(uid=uid):
                    self._tracker.forget(uid)
                case Alive():
                    pass
                case _:
                    assert_never(sighting)

    def note_missed(self, removed: Removed, *, answered: bool) -> None:
        """Take a removal that nobody watched; ``answered``: a worker has taken its drains up already."""
        if not answered:
            self._tracker.removed(removed.pod, self._clock())
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
