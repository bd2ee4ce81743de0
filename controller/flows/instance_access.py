"""Reading and writing one instance at every node of a region: what is urgent first, and so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.annotations import annotated_window
from controller.domain.commands import DrainCommand, Target
from controller.domain.instances import Readings, with_former_status
from controller.domain.shutdown.window import Windows
from controller.domain.stage_decisions import Finish, Obstructed
from controller.errors import RegistryError
from controller.flows.guard import Guard
from controller.flows.ports import Registry
from controller.flows.priority import PriorityGate

READ_BACK_INTERVALS = (0.0, 0.1, 0.3, 0.8)
"""Seconds before each reading after a write: nodes replicate within about 0.7 s, and may undo each other's."""


class InstanceAccess:
    """One region's instances. Hold a ``slot`` around each read with the write that follows from it."""

    def __init__(
        self, *, registry: Registry, guard: Guard, priority: PriorityGate, concurrency: int, windows: Windows
    ) -> None:
        self.registry = registry
        self._guard = guard
        self._priority = priority
        self._slots = asyncio.Semaphore(concurrency)
        self._windows = windows

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Be one of those who read and write. What is not urgent has waited for what is."""
        if urgent:
            with self._priority.urgent():
                async with self._slots:
                    yield
        else:
            async with self._slots:
                yield

    async def wait_until_idle(self) -> None:
        """Let what is urgent go first."""
        await self._priority.wait_until_idle()

    def window_of(self, command: DrainCommand, target: Target) -> timedelta:
        """Return for how long callers may go on using the instance once it is out at every node."""
        annotated, age = annotated_window(command.pod), self.registry.cache_age
        return self._windows.of(target.app, command.region, annotated=annotated, server_cache=age).length

    async def objection(
        self, command: DrainCommand, target: Target, readings: Readings, now: datetime
    ) -> Finish | Obstructed | None:
        """Return why the instance may not be taken out, or not yet: for what nobody's end has caused."""
        try:
            return await self._guard.objection(command, target, readings, now)
        except RegistryError as error:
            detail = f"the app's other instances cannot be counted: {error}"
            return Obstructed(reason=replace(error.reason, detail=detail))

    async def read_back(
        self,
        app: str,
        instance_id: str,
        before: Readings,
        nodes: tuple[str, ...],
        *,
        until: Callable[[Readings], bool],
        refused: Readings = (),
    ) -> Readings:
        """Read the nodes that were written until they show it, or for about a second.

        A node that took no write and does not show it otherwise (from its peer) is represented by its refusal.
        """
        readings = before
        for interval in READ_BACK_INTERVALS:
            await asyncio.sleep(interval)
            fresh = {one.node: one for one in await self.registry.read(app, instance_id, nodes)}
            readings = tuple(fresh.get(reading.node, reading) for reading in before)
            if until(tuple(fresh.values())):
                break
        else:
            why = {reading.node: reading for reading in refused}
            readings = tuple(
                replace(why[reading.node], instance=reading.instance)
                if reading.node in why and not reading.settled
                else reading
                for reading in readings
            )
        return with_former_status(readings, before)
