"""The worker: one command, one step, one verdict.

Order of events for a fresh command: find the pod's instances in the region, take each out of service at every node
(flows/drain), write that down, and come back through the delay ladder to retire it (flows/retire). Nothing is kept in
memory between two steps: whatever a later step needs travels in the command's progress.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from controller.domain.commands import Command, Progress, Stage, Target
from controller.domain.events import Outcome, tell
from controller.domain.hints import HintError, Hints, read_hints
from controller.domain.instances import Instance
from controller.domain.resolve import Resolution
from controller.domain.schedule import backoff, next_look
from controller.errors import BrokerError, RegistryError
from controller.flows.drain import Drain
from controller.flows.exclusion import Exclusion
from controller.flows.find import Finder
from controller.flows.journal import Journal
from controller.flows.ports import Clock, Observer, Outbox, Registry
from controller.flows.retire import Retire
from controller.flows.steps import Ended, GivenUp, Next, Policy, Step, in_doubt
from controller.flows.urgency import Urgency
from controller.flows.verdicts import Done, Park, Retry, Verdict, Verdicts

REMEMBERED = 20_000
"""Steps that were taken up lately."""
EARLY = timedelta(milliseconds=500)
"""A step that comes back this much before its time is taken as on time."""
NOTHING_THERE = "no instance in the region has the pod's address or host name"
NOTHING_FITS = "no instance of the pod in the region fits its annotations"


class Worker:
    """The Eureka side of the story, for one region."""

    def __init__(
        self,
        *,
        region: str,
        registry: Registry,
        outbox: Outbox,
        policy: Policy,
        clock: Clock,
        observer: Observer,
        urgency: Urgency,
    ) -> None:
        self._region = region
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._journal = Journal(outbox=outbox, observer=observer, urgency=urgency)
        self._finder = Finder(registry=registry, policy=policy)
        slots = asyncio.Semaphore(policy.concurrency)
        self._drain = Drain(registry=registry, policy=policy, clock=clock, urgency=urgency, slots=slots)
        self._retire = Retire(registry=registry, policy=policy, clock=clock, slots=slots)
        self._exclusion = Exclusion()
        self._taken_up: OrderedDict[str, None] = OrderedDict()

    async def handle(self, command: Command, redelivered: bool) -> Verdicts:
        """Take the command one step further. Raises BrokerError when an event could not be written: handle it again.

        Every replica of the watch sends each fresh command, and a crash between publishing and acknowledging repeats a
        later step. What was taken up before is dropped, unless the broker has delivered this very message before: then
        nobody knows how far its first handling came.
        """
        async with self._exclusion.hold(command.pod.uid):
            key = _step_of(command)
            if key in self._taken_up and not redelivered:
                return (Done(),)
            verdicts = await self._guarded(command, redelivered=redelivered)
            self._taken_up[key] = None
            while len(self._taken_up) > REMEMBERED:
                self._taken_up.popitem(last=False)
            step = command.progress.step + 1 if command.progress else 1
            return tuple(self._numbered(verdict, step) for verdict in verdicts)

    def _numbered(self, verdict: Verdict, step: int) -> Verdict:
        match verdict:
            case Retry(command=command):
                return replace(verdict, command=_with_progress(command, self._clock(), step=step))
            case Park(command=command):
                now = self._clock()
                return replace(verdict, command=_with_progress(command, now, step=0, chain=now.isoformat()))
            case Done():
                return verdict

    async def _guarded(self, command: Command, *, redelivered: bool) -> Verdicts:
        """A mistake in this program must not stop the queue, nor lose the drain: it goes to the dead letters."""
        try:
            return await self._step(command, redelivered=redelivered)
        except BrokerError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"unexpected {type(error).__name__} in {where.name}, line {where.lineno}"
            await self._conclude(command, Outcome.failed, why)
            return (Park(command=command, why=why),)

    async def _step(self, command: Command, *, redelivered: bool) -> Verdicts:
        now = self._clock()
        try:
            hints = read_hints(command.pod)
        except HintError as error:
            await self._conclude(command, Outcome.refused, str(error))
            return (Done(),)
        progress = command.progress or _begun(now)
        command = replace(command, progress=progress)
        if progress.due_at > now + EARLY:
            return (Retry(command=command, after=progress.due_at - now),)
        if progress.targets:
            return await self._advance(command, hints, progress.targets, redelivered=redelivered)
        return await self._find(command, hints, progress)

    async def _find(self, command: Command, hints: Hints, progress: Progress) -> Verdicts:
        """Turn the pod into its instances, and take the first step with each at once."""
        now = self._clock()
        not_before = now if progress.first_look_at else progress.first_at - self._policy.index_age
        try:
            resolution = await self._finder.find(command, hints, not_before=not_before)
        except RegistryError as error:
            return await self._stuck(command, progress, str(error))
        if resolution.own:
            await self._tell_rejected(command, resolution)
            return await self._advance(command, hints, tuple(_target(instance, now) for instance in resolution.own))
        first_look_at = progress.first_look_at or now
        wait = None if resolution.rejected and hints.instance_id else next_look(first_look_at, now)
        if wait is not None:
            again = replace(
                progress,
                due_at=now + wait,
                first_look_at=first_look_at,
                attempt=progress.attempt + 1,
                trouble="",
                trouble_since=None,
            )
            return (Retry(command=replace(command, progress=again), after=wait),)
        await self._tell_rejected(command, resolution)
        if not resolution.rejected:
            narrowed = bool(hints.app or hints.instance_id or hints.port)
            await self._conclude(command, Outcome.not_registered, NOTHING_FITS if narrowed else NOTHING_THERE)
        return (Done(),)

    async def _advance(
        self, command: Command, hints: Hints, targets: tuple[Target, ...], *, redelivered: bool = False
    ) -> Verdicts:
        now = self._clock()
        steps = await asyncio.gather(*(self._one(command, hints, target, now) for target in targets))
        if redelivered:
            steps = [in_doubt(step, target, now) for step, target in zip(steps, targets, strict=True)]
        onward: list[Target] = []
        verdicts: list[Verdict] = []
        for step in steps:
            for event in step.events:
                await self._journal.record(event)
            match step.ending:
                case Next(target=target):
                    onward.append(target)
                case GivenUp(target=target, why=why):
                    verdicts.append(Park(command=self._with(command, (target,), target.due_at), why=why))
                case Ended():
                    pass
        if onward:
            due_at = min(target.due_at for target in onward)
            after = max(due_at - self._clock(), timedelta(0))
            if any(target.trouble for target in onward):
                self._observer.retried(self._region)
            verdicts.append(Retry(command=self._with(command, tuple(onward), due_at), after=after))
        return tuple(verdicts) or (Done(),)

    async def _one(self, command: Command, hints: Hints, target: Target, now: datetime) -> Step:
        if target.due_at > now + EARLY:
            return Step(ending=Next(target=target))
        if target.stage is Stage.drain:
            return await self._drain.advance(command, hints, target)
        return await self._retire.advance(command, hints, target)

    async def _stuck(self, command: Command, progress: Progress, trouble: str) -> Verdicts:
        """The index could not be had: wait, and give up when that has lasted too long."""
        now = self._clock()
        if trouble != progress.trouble:
            await self._journal.record(tell(command, Outcome.requested, now, reason=trouble, attempt=progress.attempt))
        since = progress.trouble_since or now
        if now - since >= self._policy.give_up_after:
            await self._conclude(command, Outcome.failed, trouble, attempt=progress.attempt)
            return (Park(command=replace(command, progress=_begun(now)), why=trouble),)
        wait = backoff(progress.attempt, self._policy.longest_wait)
        attempt = progress.attempt + 1
        again = replace(progress, attempt=attempt, trouble=trouble, trouble_since=since, due_at=now + wait)
        self._observer.retried(self._region)
        return (Retry(command=replace(command, progress=again), after=wait),)

    async def _conclude(self, command: Command, outcome: Outcome, reason: str, *, attempt: int = 1) -> None:
        await self._journal.record(tell(command, outcome, self._clock(), reason=reason, attempt=attempt))

    async def _tell_rejected(self, command: Command, resolution: Resolution) -> None:
        for rejected in resolution.rejected:
            outcome = Outcome.superseded if rejected.superseded else Outcome.refused
            app, instance_id = rejected.instance.app, rejected.instance.id
            event = tell(command, outcome, self._clock(), reason=rejected.reason, app=app, instance_id=instance_id)
            await self._journal.record(event)

    @staticmethod
    def _with(command: Command, targets: tuple[Target, ...], due_at: datetime) -> Command:
        assert command.progress is not None
        return replace(command, progress=replace(command.progress, targets=targets, due_at=due_at))


def _step_of(command: Command) -> str:
    progress = command.progress
    where = f"{progress.chain} {progress.step}" if progress else f"{command.cause} {command.requested_by}"
    return f"{command.drain_id} {where}"


def _with_progress(command: Command, now: datetime, **changes: Any) -> Command:
    return replace(command, progress=replace(command.progress or _begun(now), **changes))


def _begun(now: datetime) -> Progress:
    return Progress(first_at=now, due_at=now)


def _target(instance: Instance, now: datetime) -> Target:
    return Target(
        app=instance.app,
        id=instance.id,
        ip=instance.ip,
        host_name=instance.host_name,
        port=instance.port,
        renewal_interval=instance.renewal_interval,
        stage=Stage.drain,
        due_at=now,
    )
