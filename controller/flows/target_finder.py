"""From a drain command to the instances that it is about: the first part of its lifecycle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from controller.domain.annotations import PodAnnotations
from controller.domain.candidates import Rejected, Resolution
from controller.domain.commands import DrainCommand, Progress, Stage, Target, target_of
from controller.domain.instances import present
from controller.domain.intervals import next_find_in
from controller.domain.ownership import Owned, ownership_of
from controller.domain.reason import Reason, ReasonCode
from controller.flows.drain_log import DrainLog
from controller.flows.instance_finder import InstanceFinder
from controller.flows.ports import Clock, Registry
from controller.flows.worker_policy import WorkerPolicy

NOT_FOUND = Reason(code=ReasonCode.not_found, detail="no instance in the region has the pod's address or host name")
NONE_FITS = Reason(code=ReasonCode.not_found, detail="no instance of the pod in the region fits its annotations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a drain is about."""

    targets: tuple[Target, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    """What is left alone, to be recorded."""
    again: Progress | None = None
    """When to look again: a young instance is not in the servers' caches yet."""
    nothing: Reason | None = None
    """Why there is nothing to drain."""


class TargetFinder:
    """Finds the instances of one region's drain commands."""

    def __init__(
        self, *, finder: InstanceFinder, registry: Registry, log: DrainLog, policy: WorkerPolicy, clock: Clock
    ) -> None:
        self._finder = finder
        self._registry = registry
        self._log = log
        self._policy = policy
        self._clock = clock

    async def find(self, command: DrainCommand, annotations: PodAnnotations, *, redelivered: bool) -> Found:
        """Return what is still to be drained. RegistryError when no node answers."""
        progress, now = command.progress, self._clock()
        assert progress is not None
        if progress.targets:
            return Found(targets=await self._still_open(command, progress.targets))
        not_before = now if progress.first_look_at else progress.first_at - self._policy.index_age
        resolution = await self._finder.find(command, annotations, not_before=not_before)
        targets = tuple(target_of(instance, now) for instance in resolution.own)
        if redelivered:
            resolution, theirs = await self._taken_over_meanwhile(command, resolution)
            targets += theirs
        targets = targets or await self._held(command, annotations)
        if not targets and (again := self._again(progress, annotations, resolution)) is not None:
            return Found(again=again)
        if targets or resolution.rejected or self._log.ledger.has_any_ended(command.drain_id):
            # A watch that starts asks again for what terminates: what an earlier command found may have gone since.
            return Found(targets=targets, rejected=resolution.rejected)
        narrowed = bool(annotations.app or annotations.instance_id or annotations.port)
        return Found(nothing=NONE_FITS if narrowed else NOT_FOUND)

    def _again(self, progress: Progress, annotations: PodAnnotations, resolution: Resolution) -> Progress | None:
        """Return the progress to come back with, while the instance may still appear."""
        now = self._clock()
        first_look_at = progress.first_look_at or now
        if resolution.rejected and annotations.instance_id:
            return None
        wait = next_find_in(first_look_at, now)
        if wait is None:
            return None
        return replace(
            progress,
            due_at=now + wait,
            first_look_at=first_look_at,
            attempt=progress.attempt + 1,
            trouble=None,
            trouble_since=None,
        )

    async def _taken_over_meanwhile(
        self, command: DrainCommand, resolution: Resolution
    ) -> tuple[Resolution, tuple[Target, ...]]:
        """Do not leave alone what a newer process holds now, before it is known to bear no override of ours."""
        now = self._clock()
        instances = [rejected.instance for rejected in resolution.rejected if rejected.is_taken_over]
        theirs = [replace(target_of(instance, now), stage=Stage.retain) for instance in instances]
        targets = await self._still_open(command, theirs) if theirs else ()
        seen_to = {(target.app, target.id) for target in targets}
        left = [one for one in resolution.rejected if (one.instance.app, one.instance.id) not in seen_to]
        return replace(resolution, rejected=tuple(left)), targets

    async def _held(self, command: DrainCommand, annotations: PodAnnotations) -> tuple[Target, ...]:
        """Return what this drain took out before, by the log, and does not find any more.

        Its next step was lost in a crash; perhaps a newer process holds the id, at an address that is not the pod's.
        """
        targets, now = [], self._clock()
        for held in self._log.ledger.held_by(command.drain_id, command.region):
            shown = present(await self._registry.read(held.app, held.id))
            own = next((one for one in shown if isinstance(ownership_of(one, command, annotations), Owned)), None)
            if own is not None:
                target = target_of(own, now)
            else:
                target = Target(
                    app=held.app,
                    id=held.id,
                    ip=held.ip,
                    host_name="",
                    port=0,
                    stage=Stage.retain,
                    due_at=now,
                    silent_since=now,
                )
            targets.append(replace(target, stage=Stage.retain, may_have_override=True))
        return tuple(targets)

    async def _still_open(self, command: DrainCommand, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Leave out the instances whose drain has ended, which only the log says.

        A repetition of this command was seen through by another process, or a living pod was put back in service under
        the id.
        """
        await self._log.wait()
        return tuple(
            target
            for target in targets
            if not self._log.ledger.has_ended((command.drain_id, target.app, target.id), command.observed_at)
        )
