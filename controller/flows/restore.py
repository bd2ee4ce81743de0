"""Back in service: a living pod holds an id that a drain took out, and the override on it is ours to lift."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from loguru import logger

from controller.domain.annotations import AnnotationError, PodAnnotations, read_annotations
from controller.domain.events import Outcome
from controller.domain.intervals import REPLICATION_INTERVAL
from controller.domain.ledger import HeldInstance, Ledger
from controller.domain.stages import LiftOverride, Look, Readings, Settled, Wait, present
from controller.domain.takeover import RestoreCommand, decide_restore, make_restore_event, make_takeover_event
from controller.flows.drain import READ_BACK_INTERVALS
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResults
from controller.flows.ports import Clock, EventLog, Registry
from controller.flows.recorder import Recorder
from controller.flows.steps import EARLY_TOLERANCE, Policy, delayed, new_progress

REGISTRATION_TIMEOUT = timedelta(minutes=15)
"""How long a new process may take until it has registered and says UP; afterwards the drain's own looks find it."""
LOG_RETRY_INTERVAL = timedelta(seconds=1)


class Restoring:
    """Takes restores of one region one step further."""

    def __init__(
        self,
        *,
        registry: Registry,
        policy: Policy,
        clock: Clock,
        recorder: Recorder,
        ledger: Ledger,
        log: EventLog,
        slots: asyncio.Semaphore,
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._recorder = recorder
        self._ledger = ledger
        self._log = log
        self._slots = slots

    async def step(self, item: RestoreCommand) -> HandlerResults:
        """Look at each id; lift what is ours to lift; come back until nothing is left."""
        now = self._clock()
        progress = item.progress or new_progress(now)
        item = replace(item, progress=progress)
        if progress.due_at > now + EARLY_TOLERANCE:
            return (Delay(item=item, after=progress.due_at - now),)
        if not self._log.caught_up:
            # Only the log tells whether the pod has begun to go meanwhile.
            return (Delay(item=item, after=LOG_RETRY_INTERVAL),)
        if not progress.step:
            await self._tell_succession(item)
        annotations = _hints_of(item)
        seen = await asyncio.gather(*(self._one(item, annotations, held) for held in item.held))
        left = tuple(held for held, what in zip(item.held, seen, strict=True) if not isinstance(what, Settled))
        if not left:
            return (Ack(),)
        item = replace(item, held=left)
        troubles = [what.trouble for what in seen if isinstance(what, Wait)]
        if troubles:
            return await self._held_up(item, troubles[0])
        now = self._clock()
        if now - progress.first_at > REGISTRATION_TIMEOUT:
            return (Ack(),)
        after = min(what.after for what in seen if isinstance(what, Look))
        again = replace(progress, due_at=now + after, attempt=1, trouble="", trouble_since=None)
        return (Delay(item=replace(item, progress=again), after=after),)

    async def _tell_succession(self, item: RestoreCommand) -> None:
        """Before anything is lifted: the drain that goes on looking at the id must not undo it."""
        for held in item.held:
            if not self._ledger.has_ended(held.key, held.out_at):
                event = make_takeover_event(item, held, self._clock())
                await self._recorder.record(event)
                self._ledger.apply(event)

    async def _one(
        self, item: RestoreCommand, annotations: PodAnnotations, held: HeldInstance
    ) -> Settled | Wait | Look:
        async with self._slots:
            readings = await self._registry.read(held.app, held.id)
            decision = decide_restore(held, item.pod, annotations, readings)
            if self._ledger.is_going(item.pod.uid, item.observed_at):
                return Settled()
            if not isinstance(decision, LiftOverride):
                return decision
            if not item.requested_by and self._is_drained_anew(item, held, readings):
                return Settled()
            await self._registry.lift(held.app, held.id, decision.nodes, split=decision.split)
            readings = await self._read_back(item, annotations, held)
        match decide_restore(held, item.pod, annotations, readings):
            case Settled():
                if self._ledger.has_ended(held.key, held.out_at):
                    return Look(after=REPLICATION_INTERVAL)
                await self._tell(item, held, Outcome.restored, f"{item.pod.key} holds the id now", readings)
                return Look(after=REPLICATION_INTERVAL)
            case LiftOverride():
                return Look(after=REPLICATION_INTERVAL)
            case other:
                return other

    def _is_drained_anew(self, item: RestoreCommand, held: HeldInstance, readings: Readings) -> bool:
        """Whether the override is another drain's by now: of a living pod, only a person's."""
        return any(
            one.registered_at is not None and self._ledger.is_held_by_another(held.key, item.region, one.registered_at)
            for one in present(readings)
        )

    async def _read_back(self, item: RestoreCommand, annotations: PodAnnotations, held: HeldInstance) -> Readings:
        readings: Readings = ()
        for pause in READ_BACK_INTERVALS:
            await asyncio.sleep(pause)
            readings = await self._registry.read(held.app, held.id)
            if isinstance(decide_restore(held, item.pod, annotations, readings), Settled):
                break
        return readings

    async def _held_up(self, item: RestoreCommand, trouble: str) -> HandlerResults:
        now = self._clock()
        assert item.progress is not None
        if trouble != item.progress.trouble:
            log = logger.bind(drain=item.drain_id, pod=item.pod.key, region=item.region, reason=trouble)
            log.warning("restore held up")
        again = delayed(item.progress, trouble, now, self._policy)
        if again is None:
            return (DeadLetter(item=replace(item, progress=new_progress(now)), why=trouble),)
        return (Delay(item=replace(item, progress=again), after=again.due_at - now),)

    async def _tell(
        self, item: RestoreCommand, held: HeldInstance, outcome: Outcome, reason: str, readings: Readings
    ) -> None:
        event = make_restore_event(item, held, outcome, self._clock(), nodes=readings, reason=reason)
        await self._recorder.record(event)
        self._ledger.apply(event)


def _hints_of(item: RestoreCommand) -> PodAnnotations:
    """A broken annotation does not keep a living pod out of service: what can be read without it is enough."""
    try:
        return read_annotations(item.pod)
    except AnnotationError:
        return PodAnnotations()
