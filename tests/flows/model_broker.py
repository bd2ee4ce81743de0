"""The model's broker, how its log is followed, and the feed of a watch.

Messages overtake each other, and the event log may be deleted: what it held is lost, and whoever follows it begins anew
when it has been declared again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.events import Event, LogEntry
from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.flows.ports import Removed, Sighting
from tests.fakes.feed import FakePodFeed
from tests.fakes.outbox import FakeBroker, Refusal

LAG = 0.1
"""Seconds until an event has come to those who follow the log."""


class ModelBroker(FakeBroker):
    """Messages may take their time to a queue, each its own: so they overtake each other."""

    def __init__(self) -> None:
        super().__init__()
        self.delays_of_messages: deque[float] = deque([0.0])
        self.history: list[LogEntry] = []
        """Everything that the log has ever held."""
        self.log_number = 0
        """Counts the logs that there were, one after the other."""
        self.readers.append(self.history.append)

    @property
    def happened(self) -> list[Event]:
        """Every event that was ever written."""
        return [entry for entry in self.history if isinstance(entry, Event)]

    def delete_log(self) -> None:
        """Somebody deletes the streams: nothing can be written until they are declared again."""
        self.entries.clear()
        self.positions.clear()
        self.log_number += 1
        self.log_refusal = Refusal.lost

    def under_way(self) -> list[WorkItem]:
        """Every message that has not been handled to its end."""
        queued = [one.item() for queue in self.queues.values() for one in queue._queue]  # type: ignore[attr-defined]
        return [*self._on_the_ladder, *(one.item() for one in self.unacknowledged), *queued]

    def is_at_work_on(self, key: tuple[str, str], uids: frozenset[str]) -> bool:
        """Whether some message that is under way is about this app and id, or about one of these pods."""
        return any(item.pod.uid in uids or key in _keys_of(item) for item in self.under_way())

    def repeat(self, item: WorkItem) -> None:
        """A second copy of a message: a confirm that came too late, another replica of the watch."""
        self._put(item)

    def _put(self, item: WorkItem) -> None:
        delay = self.delays_of_messages[0]
        self.delays_of_messages.rotate(-1)
        if delay:
            self._on_the_ladder.append(item)
            asyncio.get_running_loop().call_later(delay, self._arrive, item)
        else:
            super()._put(item)

    def _arrive(self, item: WorkItem) -> None:
        self._on_the_ladder.remove(item)
        super()._put(item)


class ModelFeed(FakePodFeed):
    """A feed that knows the cluster's version of what it reports, and asks the cluster what was removed."""

    def __init__(
        self,
        version: Callable[[], int],
        removed_since: Callable[[int], tuple[Removed, ...]],
        is_there: Callable[[str], bool],
    ) -> None:
        super().__init__()
        self._present = version
        self._ask = removed_since
        self._is_there = is_there
        self._versions: deque[str] = deque()

    async def follow(self) -> AsyncIterator[Sighting]:
        while True:
            sighting = await self._sightings.get()
            version = self._versions.popleft()
            yield sighting
            self.version = version

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        return self._ask(int(version))

    async def has(self, namespace: str, name: str, uid: str) -> bool:
        return self._is_there(uid)

    def lists(self, *pods: Pod) -> None:
        self._versions.append(str(self._present()))
        super().lists(*pods)

    def changes(self, pod: Pod, stay: PodDetails | None = None) -> None:
        self._versions.append(str(self._present()))
        super().changes(pod, stay)

    def removes(self, pod: Pod, stay: PodDetails | None = None) -> None:
        self._versions.append(str(self._present()))
        super().removes(pod, stay)

    def stays_silent(self) -> None:
        self._versions.append(str(self._present()))
        super().stays_silent()


class Follower:
    """The event log, followed by one process: the flows' ``EventLog``."""

    def __init__(self, broker: ModelBroker, *readers: Callable[[LogEntry], object]) -> None:
        self._broker = broker
        self._readers = readers
        self._position = 0
        self._log_number = broker.log_number
        self._read = asyncio.Event()
        self._linked = False
        self.when_caught_up: list[Callable[[], None]] = []
        self.when_replaced: list[Callable[[], None]] = []

    @property
    def caught_up(self) -> bool:
        return self._linked

    async def wait_until_read(self) -> None:
        await self._read.wait()

    def begin(self, after: float) -> None:
        """Read it, and follow it from then on."""
        self._broker.readers.append(self._on_entry)
        asyncio.get_running_loop().call_later(after, self.link)

    def link(self) -> None:
        """The link to the log is up."""
        if not self._linked and self._on_entry in self._broker.readers:
            self._linked = True
            self._advance()
            self._read.set()
            for call in self.when_caught_up:
                call()

    def cut(self) -> None:
        """It is down."""
        self._linked = False

    def end(self) -> None:
        """The process is gone."""
        self._linked = False
        self._broker.readers.remove(self._on_entry)

    def _on_entry(self, _: LogEntry) -> None:
        asyncio.get_running_loop().call_later(LAG, self._advance)

    def _advance(self) -> None:
        if self._linked and self._log_number != self._broker.log_number:
            self._log_number, self._position = self._broker.log_number, 0
            for call in self.when_replaced:
                call()
        while self._linked and self._position < len(self._broker.entries):
            event = self._broker.entries[self._position]
            self._position += 1
            for read in self._readers:
                read(event)


def _keys_of(item: WorkItem) -> set[tuple[str, str]]:
    if not isinstance(item, DrainCommand):
        return {(held.app, held.id) for held in item.held}
    if item.progress is None:
        return set()
    return {(target.app, target.id) for target in item.progress.targets} | set(item.progress.found)
