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

from loguru import logger

from controller.domain.commands import Command, Progress, Stage, Target
from controller.domain.events import Event, Outcome, tell
from controller.domain.hints import HintError, Hints, read_hints, render
from controller.domain.instances import Instance
from controller.domain.resolve import Resolution, resolve
from controller.domain.schedule import backoff, next_look
from controller.errors import BrokerError, RegistryError
from controller.flows.drain import Drain
from controller.flows.exclusion import Exclusion
from controller.flows.ports import Clock, Observer, Outbox, Registry
from controller.flows.retire import Retire
from controller.flows.steps import Ended, GivenUp, Next, Policy, Step
from controller.flows.urgency import Urgency
from controller.flows.verdicts import Done, Park, Retry, Verdict, Verdicts

REMEMBERED = 20_000
"""Fresh commands that were taken up lately."""
EARLY = timedelta(milliseconds=500)
"""A step that comes back this much before its time is taken as on time."""


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
        self._registry = registry
        self._outbox = outbox
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._urgency = urgency
        self._drain = Drain(registry=registry, policy=policy, clock=clock, urgency=urgency)
        self._retire = Retire(registry=registry, policy=policy, clock=clock)
        self._exclusion = Exclusion()
        self._taken_up: OrderedDict[str, None] = OrderedDict()

    async def handle(self, command: Command, redelivered: bool) -> Verdicts:
        """Take the command one step further. Raises BrokerError when an event could not be written: handle it again.

        Every replica of the watch sends each fresh command. The second one is dropped, unless it was delivered before:
        then nobody knows how far its first handling came.
        """
        async with self._exclusion.hold(command.pod.uid):
            key = f"{command.drain_id} {command.cause} {command.requested_by}"
            if command.progress is not None:
                return await self._guarded(command)
            if key in self._taken_up and not redelivered:
                return (Done(),)
            verdicts = await self._guarded(command)
            self._taken_up[key] = None
            while len(self._taken_up) > REMEMBERED:
                self._taken_up.popitem(last=False)
            return verdicts

    async def _guarded(self, command: Command) -> Verdicts:
        """A mistake in this program must not stop the queue, nor lose the drain: it goes to the dead letters."""
        try:
            return await self._step(command)
        except BrokerError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"unexpected {type(error).__name__} in {where.name}, line {where.lineno}"
            await self._conclude(command, Outcome.failed, why)
            return (Park(command=command, why=why),)

    async def _step(self, command: Command) -> Verdicts:
        now = self._clock()
        try:
            hints = read_hints(command.pod)
        except HintError as error:
            await self._conclude(command, Outcome.refused, str(error))
            return (Done(),)
        progress = command.progress or Progress(first_at=now, due_at=now)
        command = replace(command, progress=progress)
        if progress.due_at > now + EARLY:
            return (Retry(command=command, after=progress.due_at - now),)
        if progress.targets:
            return await self._advance(command, hints, progress.targets)
        return await self._find(command, hints, progress)

    async def _find(self, command: Command, hints: Hints, progress: Progress) -> Verdicts:
        """Turn the pod into its instances, and take the first step with each at once."""
        now = self._clock()
        try:
            resolution = await self._resolve(
                command, hints, not_before=now if progress.first_look_at else progress.first_at - self._policy.index_age
            )
        except RegistryError as error:
            return await self._stuck(command, progress, str(error))
        for rejected in resolution.rejected if resolution.own else ():
            await self._tell_rejected(command, rejected.instance, rejected.reason, superseded=rejected.superseded)
        if resolution.own:
            targets = tuple(_target(instance, now) for instance in resolution.own)
            return await self._advance(replace(command, progress=progress), hints, targets)
        first_look_at = progress.first_look_at or now
        wait = None if resolution.rejected and hints.instance_id else next_look(first_look_at, now)
        if wait is not None:
            again = replace(progress, due_at=now + wait, first_look_at=first_look_at, attempt=progress.attempt + 1)
            return (Retry(command=replace(command, progress=again), after=wait),)
        if not resolution.rejected:
            await self._conclude(
                command,
                Outcome.not_registered,
                "no instance in the region has the pod's address or host name"
                if not (hints.app or hints.instance_id)
                else "the region has no instance of the pod that fits its annotations",
            )
        for rejected in resolution.rejected:
            await self._tell_rejected(command, rejected.instance, rejected.reason, superseded=rejected.superseded)
        return (Done(),)

    async def _resolve(self, command: Command, hints: Hints, not_before: datetime) -> Resolution:
        found = await self._registry.find(command.pod, not_before=not_before)
        candidates = {(instance.app, instance.id): instance for instance in found.candidates}
        holders = list(found.holders)
        for instance_id in self._expected_ids(command, hints):
            if not any(instance.id == instance_id for instance in candidates.values()):
                # Younger than the server's response cache, or not at the pod's address: ask past the cache.
                instance = await self._registry.look_up(instance_id)
                if instance is not None:
                    candidates[(instance.app, instance.id)] = instance
                    holders.append(instance)
        return resolve(command, hints, candidates.values(), holders)

    def _expected_ids(self, command: Command, hints: Hints) -> list[str]:
        if hints.instance_id:
            return [hints.instance_id]
        ids = []
        for template in self._policy.instance_id_templates:
            try:
                ids.append(
                    render(template, command.pod, app=hints.app.lower() or command.pod.app_label, port=hints.port)
                )
            except HintError:
                continue  # this pod does not tell what the template needs; the index finds it
        return ids

    async def _advance(self, command: Command, hints: Hints, targets: tuple[Target, ...]) -> Verdicts:
        now = self._clock()
        steps = await asyncio.gather(*(self._one(command, hints, target, now) for target in targets))
        onward: list[Target] = []
        verdicts: list[Verdict] = []
        for step in steps:
            for event in step.events:
                await self._record(event)
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
            why = "; ".join(sorted({target.trouble for target in onward if target.trouble}))
            if why:
                self._observer.retried(self._region)
            verdicts.append(Retry(command=self._with(command, tuple(onward), due_at), after=after, why=why))
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
            await self._record(tell(command, Outcome.requested, now, reason=trouble, attempt=progress.attempt))
        if now - progress.first_at >= self._policy.give_up_after:
            await self._conclude(command, Outcome.failed, trouble, attempt=progress.attempt)
            return (Park(command=command, why=trouble),)
        wait = backoff(progress.attempt, self._policy.longest_wait)
        again = replace(progress, attempt=progress.attempt + 1, trouble=trouble, due_at=now + wait)
        self._observer.retried(self._region)
        return (Retry(command=replace(command, progress=again), after=wait, why=trouble),)

    async def _conclude(self, command: Command, outcome: Outcome, reason: str, *, attempt: int = 1) -> None:
        await self._record(tell(command, outcome, self._clock(), reason=reason, attempt=attempt))

    async def _tell_rejected(self, command: Command, instance: Instance, reason: str, *, superseded: bool) -> None:
        outcome = Outcome.superseded if superseded else Outcome.refused
        await self._record(
            tell(command, outcome, self._clock(), reason=reason, app=instance.app, instance_id=instance.id)
        )

    async def _record(self, event: Event) -> None:
        await self._urgency.lull()
        await self._outbox.record(event)
        self._observer.recorded(event)
        log = logger.bind(
            drain=event.drain_id,
            pod=f"{event.namespace}/{event.pod}",
            region=event.region,
            app=event.app,
            instance=event.instance_id,
            outcome=event.outcome.value,
            reason=event.reason,
        )
        level = (
            "WARNING"
            if event.outcome in (Outcome.refused, Outcome.failed)
            or (event.reason and event.outcome is Outcome.requested)
            else "INFO"
        )
        log.log(level, "drain {}", event.outcome.value)

    @staticmethod
    def _with(command: Command, targets: tuple[Target, ...], due_at: datetime) -> Command:
        assert command.progress is not None
        return replace(command, progress=replace(command.progress, targets=targets, due_at=due_at))


def _target(instance: Instance, now: datetime) -> Target:
    return Target(
        app=instance.app,
        id=instance.id,
        ip=instance.ip,
        host_name=instance.host_name,
        port=instance.port,
        stage=Stage.drain,
        due_at=now,
    )
