"""A cluster's pods as the test sets them: the flows' ``PodFeed``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from controller.domain.causes import cause_of
from controller.domain.nodes import ClusterNode
from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.flows.ports import Alive, Changed, Listed, Removed, Sighting


class FakePodFeed:
    """Yields what the test sets, in that order, and waits for more."""

    def __init__(self, scope: str = "") -> None:
        self.scope = scope
        self.version = ""
        self.removed: tuple[Removed, ...] = ()
        """What was removed before the first list."""
        self.there: set[str] = set()
        """The pods by uid that are there although they were never shown."""
        self.questions: list[str] = []
        self._sightings: asyncio.Queue[Sighting] = asyncio.Queue()
        self._unselected: asyncio.Queue[Sighting] = asyncio.Queue()

    async def follow(self) -> AsyncIterator[Sighting]:
        """Yield what happens, for ever."""
        while True:
            yield await self._sightings.get()
            self.version = str(int(self.version or 0) + 1)

    async def follow_unselected(self) -> AsyncIterator[Sighting]:
        """Yield what the test says of the pods without the label."""
        while True:
            yield await self._unselected.get()

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        """The last states of the pods that were removed since."""
        return self.removed

    async def has(self, namespace: str, name: str, uid: str) -> bool:
        """Whether the test has it there."""
        self.questions.append(f"{namespace}/{name}")
        return uid in self.there

    def lists(self, *pods: Pod) -> None:
        """A complete list."""
        self._sightings.put_nowait(Listed(scope=self.scope, pods=pods))

    def changes(self, pod: Pod, details: PodDetails | None = None) -> None:
        """A pod as it is now."""
        self._sightings.put_nowait(
            Changed(pod=pod, details=details or (PodDetails(pod=pod) if cause_of(pod) else None))
        )

    def removes(self, pod: Pod, details: PodDetails | None = None) -> None:
        """A pod's object is gone."""
        self._sightings.put_nowait(Removed(pod=pod, details=details or PodDetails(pod=pod)))

    def stays_silent(self) -> None:
        """An answer with no change in it."""
        self._sightings.put_nowait(Alive())

    def loses_its_label(self, pod: Pod) -> None:
        """A pod that lives on without the labels that are watched, as it is now."""
        self._unselected.put_nowait(Changed(pod=pod))

    def removes_unselected(self, pod: Pod) -> None:
        """Its object is gone."""
        self._unselected.put_nowait(Removed(pod=pod, details=PodDetails(pod=pod)))


class FakeNodeFeed:
    """A cluster's nodes as the test sets them: the flows' ``NodeFeed``."""

    def __init__(self) -> None:
        self._nodes: asyncio.Queue[ClusterNode] = asyncio.Queue()

    async def follow(self) -> AsyncIterator[ClusterNode]:
        """Yield what happens, for ever."""
        while True:
            yield await self._nodes.get()

    def says(self, node: ClusterNode) -> None:
        """A node as it is now."""
        self._nodes.put_nowait(node)
