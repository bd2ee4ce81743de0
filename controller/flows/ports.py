"""What the use cases need of the world. Adapters (kube, rabbit, eureka) and the tests' fakes provide it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from controller.bounds import MAX_DEAD_MESSAGES
from controller.domain.causes import Cause
from controller.domain.commands import WorkItem
from controller.domain.dead_messages import DeadMessage
from controller.domain.events import Event, LogEntry
from controller.domain.instances import UP, Instance, Readings
from controller.domain.kubernetes_events import KubernetesEvent
from controller.domain.nodes import ClusterNode
from controller.domain.pods import Pod
from controller.domain.reason import Reason
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.watch_position import Position

Clock = Callable[[], datetime]
"""Tells the time: aware UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A complete list of a scope (a namespace, or empty for all)."""

    scope: str
    pods: tuple[Pod, ...]
    unselected: frozenset[str] = frozenset()
    """Pods by uid that the list lacks since they have lost the labels that are watched: they are looked at by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A pod as it is now."""

    pod: Pod
    details: PodDetails | None = None
    """What decides how long it serves, when it is on its way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A pod's last state; its object is gone."""

    pod: Pod
    details: PodDetails | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unselected:
    """A pod that lives on, but no longer bears the labels that are watched, and is not looked at any more."""

    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The watch answered, and nothing has changed."""


Sighting = Listed | Changed | Removed | Unselected | Alive


class PodFeed(Protocol):
    """The Kubernetes side: an endless, ordered stream that begins with a list and survives every interruption."""

    @property
    def scope(self) -> str:
        """The namespace that it covers, or empty for all."""
        ...

    @property
    def version(self) -> str:
        """The resourceVersion up to which everything has been reported; empty before the first list."""
        ...

    def follow(self) -> AsyncIterator[Sighting]:
        """Yield what happens, for ever."""
        ...

    def follow_unselected(self) -> AsyncIterator[Sighting]:
        """Yield what becomes of the pods that have lost the labels that are watched, for ever."""
        ...

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        """Return the last states of the pods removed since. KubernetesError when nobody remembers that far."""
        ...

    async def has(self, namespace: str, name: str, uid: str) -> bool:
        """Return whether this pod's object is there, watched or not. KubernetesError when that cannot be said."""
        ...


class NodeFeed(Protocol):
    """The nodes of the cluster."""

    def follow(self) -> AsyncIterator[ClusterNode]:
        """Yield each node, and whatever changes, for ever; nothing where that is not allowed."""
        ...


class Outbox(Protocol):
    """The broker: each call returns when the broker has confirmed, and raises BrokerError when it has not."""

    async def send(self, item: WorkItem) -> None:
        """Publish a fresh command to its region's queue."""
        ...

    async def postpone(self, item: WorkItem, after: timedelta) -> None:
        """Publish a work item into the delay queues, to come back to its region's queue."""
        ...

    async def record(self, entry: LogEntry) -> None:
        """Append to the event log."""
        ...

    async def publish_end(self, end: PodEnd) -> None:
        """Append to the stream of pods' ends."""
        ...

    async def record_position(self, position: Position) -> None:
        """Note how far the watch has come."""
        ...


class DeadLetterQueue(Protocol):
    """One region's dead letters, hidden from others while they are held. May raise BrokerError."""

    @property
    def unseen(self) -> int:
        """How many of those that were there at the first ``hold`` have not been held."""
        ...

    async def hold(self, limit: int = MAX_DEAD_MESSAGES) -> list[DeadMessage]:
        """Hold the next ones, the oldest first. What is not settled goes back when the queue is closed."""
        ...

    async def settle(self, number: int) -> None:
        """Take the message with this number out of the queue for good, and return when it is out."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """The Event is there, whoever has created it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecordable:
    """The Event never will be there: its namespace is gone, or it is not acceptable."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordForbidden:
    """We may not create Events there."""

    why: str


RecordResult = Recorded | Unrecordable | RecordForbidden


class EventRecorder(Protocol):
    """Creates Kubernetes Events."""

    async def record(self, event: KubernetesEvent) -> RecordResult:
        """Create the Event; twice is once. KubernetesError when nobody knows whether it is there: then do it again."""
        ...


class Unwritten(Protocol):
    """What a worker has said, and the event log has not yet taken."""

    @property
    def is_written(self) -> bool:
        """Whether there is nothing."""

    async def wait_until_written(self) -> None:
        """Return when there is nothing, or when too many wait for that already."""


class EventLog(Protocol):
    """The event log (or the watches' positions), read from some time on and followed."""

    @property
    def caught_up(self) -> bool:
        """True once everything that was written before this process began has been read."""
        ...

    async def wait_until_read(self) -> None:
        """Return once that is so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMatch:
    """What a region's index offers for a pod."""

    candidates: tuple[Instance, ...] = ()
    """What bears some sign of the pod; the same app and id more than once, where nodes show different holders of it."""
    holders: tuple[Instance, ...] = ()
    """Every registration under the candidates' ids, in any app."""
    missing: tuple[Reason, ...] = ()
    """The nodes that the index lacks, and why: as long as there is one, what was not found is not proved absent."""


ListReader = Callable[[Sequence[Instance], datetime], Iterator[None]]
"""Takes what a node's list shows, and when it was asked for; yields now and then, since a list may be long."""


class Registry(Protocol):
    """One Eureka region: all its nodes at once. Finding may raise RegistryError; readings carry their trouble."""

    @property
    def list_readers(self) -> list[ListReader]:
        """Who is shown each node's list, whenever the index is made anew."""
        ...

    @property
    def listed_at(self) -> datetime | None:
        """When every node was last asked for its list, and gave it; None while that has not been."""
        ...

    @property
    def cache_age(self) -> timedelta | None:
        """How old what callers are given may be, as the nodes report it; None while some node does not."""
        ...

    async def find(self, pod: Pod, *, not_before: datetime) -> IndexMatch:
        """Look a pod up in the shared index, fetched anew when it is older than ``not_before``."""
        ...

    async def siblings(self, app: str) -> tuple[Instance, ...]:
        """All instances of an app, through the servers' caches: up to half a minute old."""
        ...

    async def everything(self) -> tuple[Instance, ...]:
        """All instances of the region, through the servers' caches. RegistryError unless every node has answered."""
        ...

    async def look_up(self, instance_id: str) -> Instance | None:
        """Ask the nodes directly, past every cache, for an id whose app is not known.

        RegistryError when no node knows it and some node did not answer.
        """
        ...

    async def read(self, app: str, instance_id: str, nodes: Sequence[str] | None = None) -> Readings:
        """Read the instance at every node (or these), past every cache."""
        ...

    async def take_out(self, app: str, instance_id: str, at: Readings) -> Readings:
        """Take the instance out of service at the nodes of these readings, all at once; return those that refused.

        Only reading back proves it.
        """
        ...

    async def restore(self, app: str, instance_id: str, at: Readings, *, status: str = UP) -> Readings:
        """Lift the override at these nodes, all at once, and show this status; return those that refused."""
        ...

    async def remove(self, app: str, instance_id: str, nodes: Sequence[str]) -> Readings:
        """Remove the instance at these nodes, all at once; return those that refused. Only reading back proves it."""
        ...


class Observer(Protocol):
    """The one hook for metrics."""

    def published(self, cause: Cause) -> None:
        """Count a command that the broker has confirmed."""
        ...

    def recorded(self, event: Event) -> None:
        """Count an event that the broker has confirmed."""
        ...

    def retried(self, region: str) -> None:
        """Count a step that is taken again because something stood in its way."""
        ...

    def tracked(self, pods: int, backlog: int) -> None:
        """How many pods the watch holds, and how many of them wait for the broker."""
        ...
