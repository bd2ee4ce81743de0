"""One drain command's course: find the pod's instances, and take each of them one step further.

Nothing is kept in memory between two steps: whatever a later step needs travels in the command's progress.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.commands import Command, Progress, Stage, Target, target_of
from controller.domain.drain import present
from controller.domain.events import Outcome, tell
from controller.domain.fence import Owned, judge
from controller.domain.hints import HintError, Hints, read_hints
from controller.domain.ledger import Ledger
from controller.domain.pods import LivingPod
from controller.domain.resolve import Resolution
from controller.domain.schedule import next_look
from controller.domain.standing import TakenLately
from controller.errors import RegistryError
from controller.flows.drain import Drain
from controller.flows.find import Finder
from controller.flows.journal import Journal
from controller.flows.ports import Clock, EventLog, Observer, Registry
from controller.flows.retire import Retire
from controller.flows.standing import Standing
from controller.flows.steps import EARLY, Ended, GivenUp, Next, Policy, Step, begun, held_up, in_doubt, is_read
from controller.flows.urgency import Urgency
from controller.flows.verdicts import Done, Park, Retry, Verdict, Verdicts

MOST_LIVING = 64
"""Living pods that a message holds."""
NOTHING_THERE = "no instance in the region has the pod's address or host name"
NOTHING_FITS = "no instance of the pod in the region fits its annotations"


class Course:
    """Takes drain commands of one region one step further."""

    def __init__(
        self,
        *,
        region: str,
        registry: Registry,
        policy: Policy,
        clock: Clock,
        observer: Observer,
        urgency: Urgency,
        journal: Journal,
        ledger: Ledger,
        log: EventLog,
        slots: asyncio.Semaphore,
        taken_lately: TakenLately,
    ) -> None:
        self._region = region
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._journal = journal
        self._ledger = ledger
        self._log = log
        self._registry = registry
        self._finder = Finder(registry=registry, policy=policy)
        standing = Standing(
            region=region, registry=registry, guard=policy.guard, clock=clock, taken_lately=taken_lately
        )
        self._drain = Drain(
            registry=registry, policy=policy, clock=clock, urgency=urgency, slots=slots, standing=standing
        )
        self._retire = Retire(registry=registry, policy=policy, clock=clock, slots=slots, ledger=ledger)

    async def step(self, command: Command, *, redelivered: bool) -> Verdicts:
        """Do what is due, tell what came of it, and say how it goes on."""
        now = self._clock()
        try:
            hints = read_hints(command.pod)
        except HintError as error:
            await self.conclude(command, Outcome.refused, str(error))
            return (Done(),)
        progress = command.progress or begun(now)
        command = replace(command, progress=progress, living=self._living(command))
        if progress.due_at > now + EARLY:
            return (Retry(order=command, after=progress.due_at - now),)
        if progress.targets:
            targets = await self._still_open(command, progress.targets)
            if not targets:
                return (Done(),)
            return await self._advance(command, hints, targets, redelivered=redelivered)
        return await self._find(command, hints, progress, redelivered=redelivered)

    def _living(self, command: Command) -> tuple[LivingPod, ...]:
        """The living pods that the watch sent along, and those that the log has told of since."""
        known = {pod.uid: pod for pod in command.living}
        known |= {pod.uid: pod for pod in self._ledger.successors(command.drain_id, command.pod.uid)}
        return tuple(known.values())[-MOST_LIVING:]

    async def _still_open(self, command: Command, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Leave out where the drain's story has ended.

        A repetition of this command was seen through by another process, or a living pod was put back in service under
        the id. Only the log tells that. It is read in a moment after a start; a broker that keeps it from us must not
        keep the dying in service for longer.
        """
        await is_read(self._log)
        return tuple(
            target
            for target in targets
            if not self._ledger.has_ended((command.drain_id, target.app, target.id), command.observed_at)
        )

    async def _find(self, command: Command, hints: Hints, progress: Progress, *, redelivered: bool) -> Verdicts:
        """Turn the pod into its instances, and take the first step with each at once.

        A first handling that nobody knows the end of may have written, just before a successor came: what a newer
        process holds now is then not left alone before it is known to bear no override of ours.
        """
        now = self._clock()
        not_before = now if progress.first_look_at else progress.first_at - self._policy.index_age
        try:
            resolution = await self._finder.find(command, hints, not_before=not_before)
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
            targets = await self._held(command, hints, now)
        if targets:
            await self._tell_rejected(command, resolution)
            return await self._advance(command, hints, targets, redelivered=redelivered)
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
            return (Retry(order=replace(command, progress=again), after=wait),)
        await self._tell_rejected(command, resolution)
        if not resolution.rejected and not self._ledger.is_ended(command.drain_id):
            # A watch that starts tells again what terminates: what an earlier command found may have gone since.
            narrowed = bool(hints.app or hints.instance_id or hints.port)
            await self.conclude(command, Outcome.not_registered, NOTHING_FITS if narrowed else NOTHING_THERE)
        return (Done(),)

    async def _held(self, command: Command, hints: Hints, now: datetime) -> tuple[Target, ...]:
        """What this drain took out before, by the log, and does not find any more: its next step was lost in a crash.

        Perhaps a newer process holds the id, at an address that tells nobody so.
        """
        targets = []
        for taken in self._ledger.held_by(command.drain_id, self._region):
            readings = await self._registry.read(taken.app, taken.id)
            own = next((one for one in present(readings) if isinstance(judge(one, command, hints), Owned)), None)
            target = (
                target_of(own, now)
                if own is not None
                else Target(
                    app=taken.app,
                    id=taken.id,
                    ip=taken.ip,
                    host_name="",
                    port=0,
                    stage=Stage.retire,
                    due_at=now,
                    looked_at=now,
                )
            )
            targets.append(replace(target, stage=Stage.retire, written=True))
        return tuple(targets)

    async def _advance(
        self, command: Command, hints: Hints, targets: tuple[Target, ...], *, redelivered: bool = False
    ) -> Verdicts:
        now = self._clock()
        if redelivered:
            targets = tuple(replace(target, written=True) for target in targets)
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
                    verdicts.append(Park(order=self._with(command, (target,), target.due_at), why=why))
                case Ended():
                    pass
        if onward:
            due_at = min(target.due_at for target in onward)
            after = max(due_at - self._clock(), timedelta(0))
            if any(target.trouble for target in onward):
                self._observer.retried(self._region)
            verdicts.append(Retry(order=self._with(command, tuple(onward), due_at), after=after))
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
        again = held_up(progress, trouble, now, self._policy)
        if again is None:
            await self.conclude(command, Outcome.failed, trouble, attempt=progress.attempt)
            return (Park(order=replace(command, progress=begun(now)), why=trouble),)
        self._observer.retried(self._region)
        # Whether the instance is there can be told only from looks that follow each other without a gap.
        again = replace(again, first_look_at=None)
        return (Retry(order=replace(command, progress=again), after=again.due_at - now),)

    async def conclude(self, command: Command, outcome: Outcome, reason: str, *, attempt: int = 1) -> None:
        """Tell how a command as a whole ended."""
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
