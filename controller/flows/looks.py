"""Looking at one instance at every node, and what a stage decides from: what they show, and what the log says of it."""

from __future__ import annotations

from datetime import timedelta

from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.instances import Readings, as_left_out, is_out_at_every_node
from controller.domain.silence import unless_unheard
from controller.domain.stage_decisions import Observation
from controller.flows.drain_log import DrainLog
from controller.flows.instance_access import InstanceAccess
from controller.flows.lookout import Lookout
from controller.flows.ports import Clock
from controller.flows.worker_policy import WorkerPolicy

EARLY_TOLERANCE = timedelta(milliseconds=500)
"""A step that comes back this much before its time is taken as on time."""


class Looks:
    """One region's. Hold a slot of ``access`` around each look with the write that follows from it."""

    def __init__(
        self, *, access: InstanceAccess, lookout: Lookout, log: DrainLog, policy: WorkerPolicy, clock: Clock
    ) -> None:
        self.access = access
        self._lookout = lookout
        self._log = log
        self._policy = policy
        self._clock = clock

    def is_due(self, target: Target) -> bool:
        """Return whether the instance is to be looked at: its time has come, or something may have become of it."""
        return target.due_at <= self._clock() + EARLY_TOLERANCE or self._lookout.has_moved(target)

    async def take_first(self, command: DrainCommand, target: Target) -> Target:
        """Note whose override it bears before anything is written: no later look can tell once its process has gone."""
        async with self.access.slot(urgent=True):
            target, _ = await self._read(command, target)
        return target

    async def take(self, command: DrainCommand, annotations: PodAnnotations, target: Target) -> Observation:
        """Look at every node."""
        self._lookout.note_look(target)
        target, readings = await self._read(command, target)
        seen = Observation(
            command=command,
            annotations=annotations,
            target=target,
            readings=readings,
            now=self._clock(),
            retention=self._policy.retention if annotations.retention is None else annotations.retention,
            window=self.access.window_of(command, target),
            remove=self._policy.remove,
            is_watched_over=self._lookout.is_on,
        )
        return self._log.with_other_hands(seen)

    async def _read(self, command: DrainCommand, target: Target) -> tuple[Target, Readings]:
        readings = await self.access.registry.read(target.app, target.id)
        if target.stage is Stage.take_out and is_out_at_every_node(readings):
            await self._log.wait()  # nothing is urgent any more, and the log says whether a drain has taken it out
        heard = unless_unheard(target, readings, self._clock(), unheard_at=self._lookout.unheard_at)
        noted = self._log.with_overrides(command, heard, readings)
        return noted, as_left_out(readings) if noted.was_out else readings
