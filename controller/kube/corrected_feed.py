"""The API server's times on our clock: pods are compared with registrations, and with what workers do.

Its clock may be minutes off. Then each pod looks younger than its own registration, or older than its successor's. What
the nodes' kubelets write (when a container ended) is by other clocks, and stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from controller.domain.clock_offset import MAX_TRIP, ClockOffset
from controller.domain.pods import Pod
from controller.errors import KubernetesError
from controller.flows.ports import Alive, Changed, Clock, Listed, PodFeed, Removed, Sighting, Unselected

MEASURE_INTERVAL = timedelta(minutes=1)
ReadDate = Callable[[], Awaitable[datetime | None]]
"""Ask for the API server's time, to the second."""
OfOnePod = TypeVar("OfOnePod", bound=Changed | Removed)


class ClusterClock:
    """The API server's; one for all feeds."""

    def __init__(self, read_date: ReadDate, *, clock: Clock) -> None:
        self._read_date = read_date
        self._clock = clock
        self._offset = ClockOffset()
        self._measured_at: datetime | None = None

    async def measure(self) -> None:
        """Compare it with ours, unless that was done a moment ago. An answer that does not come changes nothing."""
        begun_at = self._clock()
        if self._measured_at is not None and begun_at - self._measured_at < MEASURE_INTERVAL:
            return
        self._measured_at = begun_at
        try:
            async with asyncio.timeout(MAX_TRIP.total_seconds()):
                self._offset.measure(await self._read_date(), begun_at, self._clock())
        except (KubernetesError, TimeoutError):
            pass

    def corrected(self, pod: Pod) -> Pod:
        """Return the pod with the API server's times on our clock."""
        ahead = self._offset.ahead
        if not ahead:
            return pod
        return replace(
            pod,
            created_at=pod.created_at and pod.created_at - ahead,
            deletion_at=pod.deletion_at and pod.deletion_at - ahead,
            unready_at=pod.unready_at and pod.unready_at - ahead,
        )


class CorrectedFeed:
    """A feed whose pods bear our times."""

    def __init__(self, feed: PodFeed, cluster_clock: ClusterClock) -> None:
        self._feed = feed
        self._cluster_clock = cluster_clock

    @property
    def scope(self) -> str:
        """The namespace that it covers, or empty for all."""
        return self._feed.scope

    @property
    def version(self) -> str:
        """The resourceVersion up to which everything has been reported."""
        return self._feed.version

    async def follow(self) -> AsyncIterator[Sighting]:
        """Yield what happens, for ever."""
        async for sighting in self._feed.follow():
            if isinstance(sighting, Listed | Alive):  # nothing is urgent then, or everything comes at once
                await self._cluster_clock.measure()
            yield self._corrected(sighting)

    async def follow_unselected(self) -> AsyncIterator[Sighting]:
        """Yield what becomes of the pods that have lost the labels that are watched, for ever."""
        async for sighting in self._feed.follow_unselected():
            yield self._corrected(sighting)

    async def removed_since(self, version: str) -> tuple[Removed, ...]:
        """Return the last states of the pods removed since."""
        return tuple([self._with_our_times(one) for one in await self._feed.removed_since(version)])

    async def has(self, namespace: str, name: str, uid: str) -> bool:
        """Return whether this pod's object is there."""
        return await self._feed.has(namespace, name, uid)

    def _corrected(self, sighting: Sighting) -> Sighting:
        match sighting:
            case Listed(pods=pods):
                return replace(sighting, pods=tuple(self._cluster_clock.corrected(pod) for pod in pods))
            case Changed() | Removed():
                return self._with_our_times(sighting)
            case Alive() | Unselected():
                return sighting

    def _with_our_times(self, sighting: OfOnePod) -> OfOnePod:
        pod, details = self._cluster_clock.corrected(sighting.pod), sighting.details
        if details is not None:
            details = replace(details, pod=self._cluster_clock.corrected(details.pod))
        return replace(sighting, pod=pod, details=details)
