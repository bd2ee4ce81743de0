"""Looking at every region again and again, for the page and the metrics of ``ops``. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from controller.domain.drain_index import DrainIndex
from controller.domain.region_state import NodeState, QueueState, RegionState, differ, oldest_open
from controller.errors import BrokerError
from controller.flows.ports import Clock

SURVEY_INTERVAL = timedelta(seconds=10)


class SurveyedRegion(Protocol):
    """A region's nodes."""

    async def survey(self) -> tuple[NodeState, ...]:
        """Ask each node how it is; what goes wrong is part of its state."""
        ...


class QueueCounts(Protocol):
    """The broker's counts."""

    async def count(self, region: str) -> tuple[QueueState, QueueState]:
        """Return the region's queue and its dead letters. BrokerError when they cannot be counted."""
        ...

    async def count_unrouted(self) -> QueueState:
        """Return what waits for regions that nobody has declared. BrokerError when it cannot be counted."""
        ...


class RegionObserver(Protocol):
    """Whoever shows what was seen as metrics."""

    def surveyed(self, state: RegionState) -> None:
        """Take a region's newest state."""
        ...

    def unrouted(self, queue: QueueState | None) -> None:
        """Take what waits for regions that nobody has declared; None when it was not counted."""
        ...


class Overview:
    """The newest state of every region."""

    def __init__(
        self,
        *,
        regions: Mapping[str, SurveyedRegion],
        counter: QueueCounts,
        history: DrainIndex,
        clock: Clock,
        watcher: RegionObserver,
    ) -> None:
        self._regions = regions
        self._counter = counter
        self._history = history
        self._clock = clock
        self._watcher = watcher
        self._differ_since: dict[str, datetime] = {}
        self.states: dict[str, RegionState] = {}

    async def run(self) -> None:
        """Look for ever. A slow region does not hold up another one's state."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_unrouted(), name="survey unrouted")
            for name in self._regions:
                tasks.create_task(self._follow(name), name=f"survey {name}")

    async def _follow_unrouted(self) -> None:
        while True:
            unrouted: QueueState | None = None
            with suppress(BrokerError):
                unrouted = await self._counter.count_unrouted()
            self._watcher.unrouted(unrouted)
            await asyncio.sleep(SURVEY_INTERVAL.total_seconds())

    async def _follow(self, region: str) -> None:
        while True:
            state = await self._look(region)
            self.states[region] = state
            self._watcher.surveyed(state)
            await asyncio.sleep(SURVEY_INTERVAL.total_seconds())

    async def _look(self, region: str) -> RegionState:
        nodes = await self._regions[region].survey()
        work: QueueState | None = None
        dead: QueueState | None = None
        with suppress(BrokerError):  # shown as not counted; readiness shows that the broker is away
            work, dead = await self._counter.count(region)
        now = self._clock()
        if differ(nodes):
            self._differ_since.setdefault(region, now)
        else:
            self._differ_since.pop(region, None)
        return RegionState(
            region=region,
            looked_at=now,
            work=work,
            dead=dead,
            nodes=nodes,
            differ_since=self._differ_since.get(region),
            oldest=oldest_open(self._history, region),
        )
