"""One drain command's course: find the pod's instances, and take each of them one step further.

Nothing is kept in memory between two steps: whatever a later step needs travels in the command's progress.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.annotations import AnnotationError, PodAnnotations, read_annotations
from controller.domain.commands import DrainCommand, Progress, Stage, Target, target_of
from controller.domain.events import Outcome, make_event
from controller.domain.guard import RecentTakeOuts
from controller.domain.intervals import next_find_in
from controller.domain.ledger import Ledger
from controller.domain.ownership import Owned, ownership_of
from controller.domain.pods import LivingPod
from controller.domain.resolve import Resolution
from controller.domain.stages import present
from controller.errors import RegistryError
from controller.flows.drain import Drain
from controller.flows.finder import Finder
from controller.flows.guard_checks import GuardChecks
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, HandlerResults
from controller.flows.ports import Clock, EventLog, Observer, Registry
from controller.flows.priority import PriorityGate
from controller.flows.recorder import Recorder
from controller.flows.retire import Retire
from controller.flows.steps import (
    EARLY_TOLERANCE,
    Ended,
    GivenUp,
    Next,
    Policy,
    Step,
    delayed,
    in_doubt,
    new_progress,
    wait_for_log,
)

MAX_LIVING = 64
"""Living pods that a message holds."""
NOTHING_THERE = "no instance in the region has the pod's address or host name"
NOTHING_FITS = "no instance of the pod in the region fits its annotations"


class DrainLifecycle:
    """Takes drain commands of one region one step further."""

    def __init__(
        self,
        *,
        region: str,
        registry: Registry,
        policy: Policy,
        clock: Clock,
        observer: Observer,
        priority: PriorityGate,
        recorder: Recorder,
        ledger: Ledger,
        log: EventLog,
        slots: asyncio.Semaphore,
        recent_take_outs: RecentTakeOuts,
    ) -> None:
        self._region = region
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._recorder = recorder
        self._ledger = ledger
        self._log = log
        self._registry = registry
        self._finder = Finder(registry=registry, policy=policy)
        standing = GuardChecks(
            region=region, registry=registry, guard=policy.guard, clock=clock, recent_take_outs=recent_take_outs
        )
        self._drain = Drain(
            registry=registry, policy=policy, clock=clock, priority=priority, slots=slots, standing=standing
        )
        self._retire = Retire(registry=registry, policy=policy, clock=clock, slots=slots, ledger=ledger)

    async def step(self, command: DrainCommand, *, redelivered: bool) -> HandlerResults:
        """Do what is due, tell what came of it, and say how it goes on."""
        now = self._clock()
        try:
            annotations = read_annotations(command.pod)
        except AnnotationError as error:
            await self.conclude(command, Outcome.refused, str(error))
            return (Ack(),)
        progress = command.progress or new_progress(now)
        command = replace(command, progress=progress, living=self._living(command))
        if progress.due_at > now + EARLY_TOLERANCE:
            return (Delay(item=command, after=progress.due_at - now),)
        if progress.targets:
            targets = await self._still_open(command, progress.targets)
            if not targets:
                return (Ack(),)
            return await self._advance(command, annotations, targets, redelivered=redelivered)
        return await self._find(command, annotations, progress, redelivered=redelivered)

    def _living(self, command: DrainCommand) -> tuple[LivingPod, ...]:
        """The living pods that the watch sent along, and those that the log has told of since."""
        known = {pod.uid: pod for pod in command.living}
        known |= {pod.uid: pod for pod in self._ledger.successors(command.drain_id, command.pod.uid)}
        return tuple(known.values())[-MAX_LIVING:]

    async def _still_open(self, command: DrainCommand, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Leave out where the drain's story has ended.

        A repetition of this command was seen through by another process, or a living pod was put back in service under
        the id. Only the log tells that. It is read in a moment after a start; a broker that keeps it from us must not
        keep the dying in service for longer.
        """
        await wait_for_log(self._log)
        return tuple(
            target
            for target in targets
            if not self._ledger.has_ended((command.drain_id, target.app, target.id), command.observed_at)
        )

    async def _find(
        self, command: DrainCommand, annotations: PodAnnotations, progress: Progress, *, redelivered: bool
    ) -> HandlerResults:
        """Turn the pod into its instances, and take the first step with each at once.

        A first handling that nobody knows the end of may have written, just before a successor came: what a newer
        process holds now is then not left alone before it is known to bear no override of ours.
        """
        now = self._clock()
        not_before = now if progress.first_look_at else progress.first_at - self._policy.index_age
        try:
            resolution = await self._finder.find(command, annotations, not_before=not_before)
        except RegistryError as error:
            return await self._stuck(command, progress, str(error))
        targets = tuple(target_of(instance, now) for instance in resolution.own)
        if redelivered:
            taken_over = [rejected.instance for rejected in resolution.rejected if rejected.superseded]
            theirs = tuple(replace(target_of(instance, now), stage=Stage.retire) for instance in taken_over)
            targets += await self._still_open(command, theirs) if theirs else ()
            seen_to = {(target.app, target.id) for target in targets}
            left = [one for one in resolution.rejected if (one.instance.app, one.instance.id) not in seen_to]
            resolution = replace(resolution, rejected=tuple(left))
        if not targets:
            targets = await self._held(command, annotations, now)
        if targets:
            await self._tell_rejected(command, resolution)
            return await self._advance(command, annotations, targets, redelivered=redelivered)
        first_look_at = progress.first_look_at or now
        wait = None if resolution.rejected and annotations.instance_id else next_find_in(first_look_at, now)
        if wait is not None:
            again = replace(
                progress,
                due_at=now + wait,
                first_look_at=first_look_at,
                attempt=progress.attempt + 1,
                trouble="",
                trouble_since=None,
            )
            return (Delay(item=replace(command, progress=again), after=wait),)
        await self._tell_rejected(command, resolution)
        if not resolution.rejected and not self._ledger.is_ended(command.drain_id):
            # A watch that starts tells again what terminates: what an earlier command found may have gone since.
            narrowed = bool(annotations.app or annotations.instance_id or annotations.port)
            await self.conclude(command, Outcome.not_registered, NOTHING_FITS if narrowed else NOTHING_THERE)
        return (Ack(),)

    async def _held(self, command: DrainCommand, annotations: PodAnnotations, now: datetime) -> tuple[Target, ...]:
        """What this drain took out before, by the log, and does not find any more: its next step was lost in a crash.

        Perhaps a newer process holds the id, at an address that tells nobody so.
        """
        targets = []
        for held in self._ledger.held_by(command.drain_id, self._region):
            readings = await self._registry.read(held.app, held.id)
            own = next(
                (one for one in present(readings) if isinstance(ownership_of(one, command, annotations), Owned)), None
            )
            target = (
                target_of(own, now)
                if own is not None
                else Target(
                    app=held.app,
                    id=held.id,
                    ip=held.ip,
                    host_name="",
                    port=0,
                    stage=Stage.retire,
                    due_at=now,
                    looked_at=now,
                )
            )
            targets.append(replace(target, stage=Stage.retire, may_have_override=True))
        return tuple(targets)

    async def _advance(
        self,
        command: DrainCommand,
        annotations: PodAnnotations,
        targets: tuple[Target, ...],
        *,
        redelivered: bool = False,
    ) -> HandlerResults:
        now = self._clock()
        if redelivered:
            targets = tuple(replace(target, may_have_override=True) for target in targets)
        steps = await asyncio.gather(*(self._one(command, annotations, target, now) for target in targets))
        if redelivered:
            steps = [in_doubt(step, target, now) for step, target in zip(steps, targets, strict=True)]
        onward: list[Target] = []
        verdicts: list[HandlerResult] = []
        for step in steps:
            for event in step.events:
                await self._recorder.record(event)
            match step.ending:
                case Next(target=target):
                    onward.append(target)
                case GivenUp(target=target, why=why):
                    verdicts.append(DeadLetter(item=self._with(command, (target,), target.due_at), why=why))
                case Ended():
                    pass
        if onward:
            due_at = min(target.due_at for target in onward)
            after = max(due_at - self._clock(), timedelta(0))
            if any(target.trouble for target in onward):
                self._observer.retried(self._region)
            verdicts.append(Delay(item=self._with(command, tuple(onward), due_at), after=after))
        return tuple(verdicts) or (Ack(),)

    async def _one(self, command: DrainCommand, annotations: PodAnnotations, target: Target, now: datetime) -> Step:
        if target.due_at > now + EARLY_TOLERANCE:
            return Step(ending=Next(target=target))
        if target.stage is Stage.drain:
            return await self._drain.advance(command, annotations, target)
        return await self._retire.advance(command, annotations, target)

    async def _stuck(self, command: DrainCommand, progress: Progress, trouble: str) -> HandlerResults:
        """The index could not be had: wait, and give up when that has lasted too long."""
        now = self._clock()
        if trouble != progress.trouble:
            await self._recorder.record(
                make_event(command, Outcome.requested, now, reason=trouble, attempt=progress.attempt)
            )
        again = delayed(progress, trouble, now, self._policy)
        if again is None:
            await self.conclude(command, Outcome.failed, trouble, attempt=progress.attempt)
            return (DeadLetter(item=replace(command, progress=new_progress(now)), why=trouble),)
        self._observer.retried(self._region)
        # Whether the instance is there can be told only from looks that follow each other without a gap.
        again = replace(again, first_look_at=None)
        return (Delay(item=replace(command, progress=again), after=again.due_at - now),)

    async def conclude(self, command: DrainCommand, outcome: Outcome, reason: str, *, attempt: int = 1) -> None:
        """Tell how a command as a whole ended."""
        await self._recorder.record(make_event(command, outcome, self._clock(), reason=reason, attempt=attempt))

    async def _tell_rejected(self, command: DrainCommand, resolution: Resolution) -> None:
        for rejected in resolution.rejected:
            outcome = Outcome.superseded if rejected.superseded else Outcome.refused
            app, instance_id = rejected.instance.app, rejected.instance.id
            event = make_event(
                command, outcome, self._clock(), reason=rejected.reason, app=app, instance_id=instance_id
            )
            await self._recorder.record(event)

    @staticmethod
    def _with(command: DrainCommand, targets: tuple[Target, ...], due_at: datetime) -> DrainCommand:
        assert command.progress is not None
        return replace(command, progress=replace(command.progress, targets=targets, due_at=due_at))
