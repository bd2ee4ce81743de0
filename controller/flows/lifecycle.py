"""The lifecycle of a drain, from a command to its instances gone: read this file from top to bottom.

    handle ─▶ find (the pod's instances) ─▶ for each: observe ─▶ decide (domain/stages) ─▶ perform ─▶ record
       ▲                                                                                              │
       └──────────────────────────────── Delay, with the command's progress ◀─────────────────────────┘

``domain/stages`` has the table of stages, each a pure function from what the nodes show to a decision; ``flows/looks``
observes. Nothing is kept in memory between two steps: whatever a later step needs travels in the command's progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from controller.domain.annotations import AnnotationError, PodAnnotations, read_annotations
from controller.domain.commands import DrainCommand, Progress, Stage, Target, new_progress
from controller.domain.events import FOUND_SO, Outcome, make_event
from controller.domain.instances import Instance, Readings, is_out_at_every_node, present, trouble_of
from controller.domain.intervals import REPLICATION_INTERVAL
from controller.domain.ownership import names_the_pod
from controller.domain.reason import Reason
from controller.domain.stage_decisions import (
    Conclude,
    Continue,
    Delete,
    Finish,
    GiveBack,
    Observation,
    Obstructed,
    Report,
    StageDecision,
    TakeOut,
)
from controller.domain.stages import COMES_BACK, MAX_DELETES, STAGES, is_hopeless, proof_of
from controller.errors import RegistryError
from controller.flows.drain_log import DrainLog
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, HandlerResults, Proceed
from controller.flows.looks import EARLY_TOLERANCE, Looks
from controller.flows.ports import Clock
from controller.flows.step_result import StepResult, event_of
from controller.flows.target_finder import TargetFinder
from controller.flows.worker_policy import WorkerPolicy


class DrainLifecycle:
    """Takes drain commands of one region one step further."""

    def __init__(
        self, *, finder: TargetFinder, looks: Looks, log: DrainLog, policy: WorkerPolicy, clock: Clock
    ) -> None:
        self._finder = finder
        self._looks = looks
        self._access = looks.access
        self._log = log
        self._policy = policy
        self._clock = clock

    async def handle(self, command: DrainCommand, *, redelivered: bool) -> HandlerResults:
        """Do what is due, record what came of it, and return how it goes on.

        ``redelivered``: nobody knows how far a first handling came; it may have written, just before a successor came.
        """
        now = self._clock()
        progress = command.progress or new_progress(now)
        command = replace(command, progress=progress)
        try:
            annotations = read_annotations(command.pod)
        except AnnotationError as error:
            return await self.conclude(command, Outcome.refused, error.reason)
        if progress.due_at > now + EARLY_TOLERANCE:
            return (Delay(item=command, after=progress.due_at - now),)
        command = await self._log.with_what_is_known(command, now)
        try:
            found = await self._finder.find(command, annotations, redelivered=redelivered)
        except RegistryError as error:
            return await self._retry_find(command, progress, error.reason)
        noted = {(target.app, target.id) for target in progress.targets}
        command = replace(command, progress=found.progress)
        if found.nothing is not None:
            return await self.conclude(command, Outcome.not_registered, found.nothing)
        unnoted = [one for one in found.targets if _must_be_noted(command, one) and (one.app, one.id) not in noted]
        targets = [one for one in found.targets if one not in unnoted]
        if redelivered:  # what this message does not name yet, nobody has written to by it
            targets = [replace(one, may_have_override=True, silent_since=None).written(now) for one in targets]
        if unnoted:
            targets += await asyncio.gather(*(self._looks.take_first(command, one) for one in unnoted))
            return (Proceed(item=replace(command, progress=found.progress.with_targets(targets))),)
        if not targets and found.progress.found_all:
            for event in self._log.say_again(command, now):
                await self._log.record(event)
        steps = await asyncio.gather(*(self.step(command, annotations, target) for target in targets))
        # What is left alone is written down last: that must not hold up what callers still use.
        for rejected in found.rejected:
            outcome = Outcome.superseded if rejected.is_taken_over else Outcome.refused
            await self.conclude(command, outcome, rejected.reason, at=rejected.instance)
        return await self._record(command, steps)

    # Find.

    async def _retry_find(self, command: DrainCommand, progress: Progress, reason: Reason) -> HandlerResults:
        """Wait for the index, and give up when that has lasted too long."""
        now = self._clock()
        later = self._policy.retry_or_give_up(progress, reason, now)
        if later is None:
            await self.conclude(command, Outcome.failed, reason, attempt=progress.attempt)
            return (DeadLetter(item=replace(command, progress=new_progress(now)), reason=reason),)
        if reason != progress.trouble:
            await self.conclude(command, Outcome.retrying, reason, attempt=progress.attempt)
        self._log.count_retry(command.region)
        # Whether the instance is there can be concluded only from looks that follow each other without a gap.
        later = replace(later, first_look_at=None)
        return (Delay(item=replace(command, progress=later), after=later.due_at - now),)

    # Observe, decide, perform.

    async def step(self, command: DrainCommand, annotations: PodAnnotations, target: Target) -> StepResult:
        """Take one instance through its stage: look at every node, and do what the stage decides."""
        if not self._looks.is_due(target):
            return StepResult(onward=target)
        urgent = target.stage is Stage.take_out
        decide = STAGES[target.stage]
        async with self._access.slot(urgent=urgent):
            seen = await self._looks.take(command, annotations, target)
            decision = decide(seen)
            if isinstance(decision, TakeOut) and urgent:
                objection = await self._access.objection(command, target, seen.readings, seen.now)
                decision = objection or decision
            if isinstance(decision, TakeOut) and seen.target.was_out and not is_out_at_every_node(seen.readings):
                # Nobody's word keeps it out any more. Noted before we write: a crash would leave ours for theirs.
                return StepResult(onward=replace(seen.target, was_out=False, due_at=seen.now))
            seen, refused = await self._perform(seen, decision)
        if urgent:
            await self._access.wait_until_idle()
        if isinstance(decision, TakeOut):
            was_up = any(one.is_up for one in present(seen.readings))
            async with self._access.slot():
                seen = await self._read_back(seen, decision, refused=refused)
            decision = proof_of(seen, decide(seen)) if was_up else decide(seen)
        return self._result(seen, decision, refused)

    async def _perform(self, seen: Observation, decision: StageDecision) -> tuple[Observation, Readings]:
        """Write what was decided to every node at once; return the nodes that did not take it."""
        registry, target = self._access.registry, seen.target
        match decision:
            case TakeOut(nodes=nodes):
                chosen = tuple(reading for reading in seen.readings if reading.node in nodes)
                refused = await registry.take_out(target.app, target.id, chosen)
                # The write renews the lease: what was noted before says nothing of heartbeats any more.
                written = replace(
                    target,
                    may_have_override=True,
                    renewals={},
                    renewals_after_end={},
                    silent_since=None,
                    written_at=self._clock(),
                )
                return replace(seen, target=written), refused
            case GiveBack(status=status):
                return seen, await registry.restore(target.app, target.id, seen.readings, status=status)
            case Delete():
                return seen, await registry.remove(target.app, target.id, seen.nodes)
            case Continue() | Finish() | Conclude() | Obstructed():
                return seen, ()
            case _:
                assert_never(decision)

    async def _read_back(self, seen: Observation, decision: TakeOut, *, refused: Readings) -> Observation:
        readings = await self._access.read_back(
            seen.target.app,
            seen.target.id,
            seen.readings,
            decision.nodes,
            until=lambda fresh: all(reading.settled for reading in fresh),
            refused=refused,
        )
        return replace(seen, readings=readings, now=self._clock())

    # Record.

    def _result(self, seen: Observation, decision: StageDecision, refused: Readings) -> StepResult:
        """Turn a decision that has been performed into what is recorded, and what comes next."""
        now, target = self._clock(), seen.target
        match decision:
            case Continue(target=onward, report=report):
                return StepResult(onward=onward, event=event_of(seen, report) if report else None)
            case Finish(report=report) if not (seen.has_ended and report.outcome in FOUND_SO):
                return StepResult(event=event_of(seen, report))
            case Finish() | Conclude():
                return StepResult()
            case Obstructed(reason=reason, safe_at=safe_at, target=noted):
                return self._obstructed(replace(seen, target=noted or target), reason, safe_at=safe_at)
            case GiveBack() | Delete() if refused:
                return self._obstructed(replace(seen, readings=refused), trouble_of(refused))
            case GiveBack():
                return StepResult(onward=replace(target, due_at=now + REPLICATION_INTERVAL))
            case Delete() if target.attempt > MAX_DELETES:
                return self._obstructed(seen, COMES_BACK)
            case Delete():
                later = target.carried_on(due_at=now + REPLICATION_INTERVAL, attempt=target.attempt + 1)
                return StepResult(onward=later)
            case TakeOut():
                return self._obstructed(seen, trouble_of(seen.readings))
            case _:
                assert_never(decision)

    def _obstructed(self, seen: Observation, reason: Reason, *, safe_at: datetime | None = None) -> StepResult:
        """Something stands in the way: record it once, come back later, and give up when it lasts too long."""
        target, now = seen.target, self._clock()
        later = self._policy.retry_or_give_up(target, reason, now)
        if later is None or is_hopeless(seen.readings, target.attempt):
            # A dead letter starts afresh when it is requeued: the person who does so has mended something.
            fresh = target.carried_on(attempt=1, due_at=now)
            event = event_of(seen, Report(outcome=Outcome.failed, reason=reason))
            return StepResult(onward=fresh, given_up=reason, event=event)
        if present(seen.readings) and not target.renewals:
            later = replace(later, silent_since=None)  # it has not stayed away
        report = Report(outcome=Outcome.retrying, reason=reason, safe_at=safe_at)
        return StepResult(onward=later, event=event_of(seen, report) if reason != target.trouble else None)

    async def _record(self, command: DrainCommand, steps: Sequence[StepResult]) -> HandlerResults:
        """Write every event, then say how the command goes on."""
        assert command.progress is not None
        results: list[HandlerResult] = []
        onward: list[Target] = []
        for step in steps:
            if step.event is not None:
                await self._log.record(step.event)
            if step.given_up is not None and step.onward is not None:
                given_up = replace(command, progress=command.progress.with_targets([step.onward]))
                results.append(DeadLetter(item=given_up, reason=step.given_up))
            elif step.onward is not None:
                onward.append(step.onward)
        if any(target.trouble for target in onward):
            self._log.count_retry(command.region)
        if onward or not command.progress.found_all:
            progress = command.progress.with_targets(onward)
            later, due_in = replace(command, progress=progress), max(progress.due_at - self._clock(), timedelta(0))
            results.append(Delay(item=later, after=due_in))
        return tuple(results) or (Ack(),)

    async def conclude(
        self,
        command: DrainCommand,
        outcome: Outcome,
        reason: Reason,
        *,
        at: Instance | None = None,
        attempt: int = 1,
    ) -> HandlerResults:
        """Record what became of a command as a whole, or of an instance that is left alone."""
        now = self._clock()
        app, instance_id = (at.app, at.id) if at else ("", "")
        event = make_event(command, outcome, now, reason=reason, app=app, instance_id=instance_id, attempt=attempt)
        await self._log.record(event)
        return (Ack(),)


def _must_be_noted(command: DrainCommand, target: Target) -> bool:
    """Return whether a message must name it before it is taken out.

    A successor may hold its id at any moment, and would not be found by its pod after a crash.
    """
    return target.stage is Stage.take_out and not names_the_pod(target.id, command.pod)
