"""What the use cases need of the world. Adapters (kube, rabbit, eureka) and the tests' fakes provide it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from controller.domain.causes import Cause
from controller.domain.events import Event
from controller.domain.instances import Instance, Reading
from controller.domain.kubernetes_events import KubernetesEvent
from controller.domain.pods import Pod
from controller.domain.position import Position
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.takeover import WorkItem

Clock = Callable[[], datetime]
"""Tells the time: aware UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A complete list of a scope (a namespace, or empty for all)."""

    scope: str
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A pod as it is now."""

    pod: Pod
    stay: PodDetails | None = None
    """How it stays, when it is on its way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A pod's last state; its object is gone."""

    pod: Pod
    stay: PodDetails | None = None
    """How it stayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unselected:
    """A pod that lives on, but no longer bears the labels that are watched."""

    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The watch answered, with nothing to tell."""


Sighting = Listed | Changed | Removed | Unselected | Alive


class PodFeed(Protocol):
    """The Kubernetes side: an endless, ordered story that begins with a list and survives every interruption."""

    @property
    def scope(self) -> str:
        """The namespace that it covers, or empty for all."""
        ...

    @property
    def version(self) -> str:
        """The resourceVersion up to which everything has been told; empty before the first list."""
        ...

    def follow(self) -> AsyncIterator[Sighting]:
        """Yield what happens, for ever."""
        ...

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        """The last states of the pods that were removed since. KubernetesError when nobody remembers that far back."""
        ...


class Outbox(Protocol):
    """The broker: each call returns when the broker has confirmed, and raises BrokerError when it has not."""

    async def send(self, item: WorkItem) -> None:
        """Publish a fresh order to its region's queue."""
        ...

    async def postpone(self, item: WorkItem, after: timedelta) -> None:
        """Publish an order into the delay ladder, to come back to its region's queue."""
        ...

    async def record(self, event: Event) -> None:
        """Append to the event log."""
        ...

    async def publish_end(self, end: PodEnd) -> None:
        """Append to the stream of pods' ends."""
        ...

    async def record_position(self, position: Position) -> None:
        """Note how far the watch has come."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """It is there, whoever has posted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecordable:
    """It never will be: its namespace is gone, or it is not acceptable."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordForbidden:
    """We may not post there."""

    why: str


RecordResult = Recorded | Unrecordable | RecordForbidden


class EventRecorder(Protocol):
    """Where people look who wonder about a pod."""

    async def post(self, notice: KubernetesEvent) -> RecordResult:
        """Put it up; twice is once. KubernetesError when nobody knows whether it is there: then do it again."""
        ...


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
class Found:
    """What a region's index offers for a pod."""

    candidates: tuple[Instance, ...] = ()
    holders: tuple[Instance, ...] = ()
    """Every registration under the candidates' ids, in any app."""


class Registry(Protocol):
    """One Eureka region: all its nodes at once. Finding may raise RegistryError; readings carry their trouble."""

    @property
    def cache_age(self) -> timedelta | None:
        """How old what callers are given may be, as the nodes tell it; None while some node does not."""
        ...

    async def find(self, pod: Pod, *, not_before: datetime) -> Found:
        """Look a pod up in the shared index, fetched anew when it is older than ``not_before``."""
        ...

    async def siblings(self, app: str) -> tuple[Instance, ...]:
        """All instances of an app, through the servers' caches: up to half a minute old."""
        ...

    async def everything(self) -> tuple[Instance, ...]:
        """All instances of the region, through the servers' caches. RegistryError unless every node has told."""
        ...

    async def look_up(self, instance_id: str) -> Instance | None:
        """Ask the nodes directly, past every cache, for an id whose app is not known."""
        ...

    async def read(self, app: str, instance_id: str, nodes: Sequence[str] | None = None) -> tuple[Reading, ...]:
        """Read the instance at every node (or these), past every cache."""
        ...

    async def take_out(
        self, app: str, instance_id: str, nodes: Sequence[str], stubborn: Sequence[str]
    ) -> tuple[Reading, ...]:
        """Set OUT_OF_SERVICE at these nodes at once; proved only by reading back. Gives the nodes that did not take it.

        At the stubborn ones DOWN is set first: a server stores an override only when it changes the status.
        """
        ...

    async def lift(
        self, app: str, instance_id: str, nodes: Sequence[str], *, split: bool = False
    ) -> tuple[Reading, ...]:
        """Lift the override at these nodes at once, to UP. Gives the nodes that did not take it.

        Where they are split and no override is left, UP is set first: a node lifts only what it holds.
        """
        ...

    async def delete(self, app: str, instance_id: str, nodes: Sequence[str]) -> tuple[Reading, ...]:
        """Delete at these nodes at once; proved only by reading back. Gives the nodes that did not take it."""
        ...


class Observer(Protocol):
    """The one hook for metrics."""

    def published(self, cause: Cause) -> None:
        """A command was confirmed by the broker."""
        ...

    def recorded(self, event: Event) -> None:
        """An event was confirmed by the broker."""
        ...

    def retried(self, region: str) -> None:
        """A step went back through the delay ladder because something stood in its way."""
        ...

    def tracked(self, pods: int, backlog: int) -> None:
        """How many pods the watch holds, and how many of them wait for the broker."""
        ...
