"""Back in service: a living pod holds an id that a drain took out, and the override on it is ours to lift."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from loguru import logger

from controller.domain.drain import Lift, Look, Readings, Settled, Wait, present
from controller.domain.events import Outcome
from controller.domain.hints import HintError, Hints, read_hints
from controller.domain.ledger import Ledger, Taken
from controller.domain.restore import Restore, tell_restored, tell_succession, to_restore
from controller.domain.schedule import SETTLE
from controller.flows.drain import READ_BACK_PAUSES
from controller.flows.journal import Journal
from controller.flows.ports import Clock, EventLog, Registry
from controller.flows.steps import EARLY, Policy, begun, held_up
from controller.flows.verdicts import Done, Park, Retry, Verdicts

LOOKED_FOR = timedelta(minutes=15)
"""How long a new process may take until it has registered and says UP; afterwards the drain's own looks find it."""
CATCH_UP = timedelta(seconds=1)


class Restoring:
    """Takes restores of one region one step further."""

    def __init__(
        self,
        *,
        registry: Registry,
        policy: Policy,
        clock: Clock,
        journal: Journal,
        ledger: Ledger,
        log: EventLog,
        slots: asyncio.Semaphore,
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._journal = journal
        self._ledger = ledger
        self._log = log
        self._slots = slots

    async def step(self, order: Restore) -> Verdicts:
        """Look at each id; lift what is ours to lift; come back until nothing is left."""
        now = self._clock()
        progress = order.progress or begun(now)
        order = replace(order, progress=progress)
        if progress.due_at > now + EARLY:
            return (Retry(order=order, after=progress.due_at - now),)
        if not self._log.caught_up:
            # Only the log tells whether the pod has begun to go meanwhile.
            return (Retry(order=order, after=CATCH_UP),)
        if not progress.step:
            await self._tell_succession(order)
        hints = _hints_of(order)
        seen = await asyncio.gather(*(self._one(order, hints, taken) for taken in order.taken))
        left = tuple(taken for taken, what in zip(order.taken, seen, strict=True) if not isinstance(what, Settled))
        if not left:
            return (Done(),)
        order = replace(order, taken=left)
        troubles = [what.trouble for what in seen if isinstance(what, Wait)]
        if troubles:
            return await self._held_up(order, troubles[0])
        now = self._clock()
        if now - progress.first_at > LOOKED_FOR:
            return (Done(),)
        after = min(what.after for what in seen if isinstance(what, Look))
        again = replace(progress, due_at=now + after, attempt=1, trouble="", trouble_since=None)
        return (Retry(order=replace(order, progress=again), after=after),)

    async def _tell_succession(self, order: Restore) -> None:
        """Before anything is lifted: the drain that goes on looking at the id must not undo it."""
        for taken in order.taken:
            if not self._ledger.has_ended(taken.key, taken.taken_at):
                event = tell_succession(order, taken, self._clock())
                await self._journal.record(event)
                self._ledger.note(event)

    async def _one(self, order: Restore, hints: Hints, taken: Taken) -> Settled | Wait | Look:
        async with self._slots:
            readings = await self._registry.read(taken.app, taken.id)
            decision = to_restore(taken, order.pod, hints, readings)
            if self._ledger.is_going(order.pod.uid, order.observed_at):
                return Settled()
            if not isinstance(decision, Lift):
                return decision
            if not order.requested_by and self._is_drained_anew(order, taken, readings):
                return Settled()
            await self._registry.lift(taken.app, taken.id, decision.nodes, split=decision.split)
            readings = await self._read_back(order, hints, taken)
        match to_restore(taken, order.pod, hints, readings):
            case Settled():
                if self._ledger.has_ended(taken.key, taken.taken_at):
                    return Look(after=SETTLE)
                await self._tell(order, taken, Outcome.restored, f"{order.pod.key} holds the id now", readings)
                return Look(after=SETTLE)
            case Lift():
                return Look(after=SETTLE)
            case other:
                return other

    def _is_drained_anew(self, order: Restore, taken: Taken, readings: Readings) -> bool:
        """Whether the override is another drain's by now: of a living pod, only a person's."""
        return any(
            one.registered_at is not None
            and self._ledger.is_held_by_another(taken.key, order.region, one.registered_at)
            for one in present(readings)
        )

    async def _read_back(self, order: Restore, hints: Hints, taken: Taken) -> Readings:
        readings: Readings = ()
        for pause in READ_BACK_PAUSES:
            await asyncio.sleep(pause)
            readings = await self._registry.read(taken.app, taken.id)
            if isinstance(to_restore(taken, order.pod, hints, readings), Settled):
                break
        return readings

    async def _held_up(self, order: Restore, trouble: str) -> Verdicts:
        now = self._clock()
        assert order.progress is not None
        if trouble != order.progress.trouble:
            log = logger.bind(drain=order.drain_id, pod=order.pod.key, region=order.region, reason=trouble)
            log.warning("restore held up")
        again = held_up(order.progress, trouble, now, self._policy)
        if again is None:
            return (Park(order=replace(order, progress=begun(now)), why=trouble),)
        return (Retry(order=replace(order, progress=again), after=again.due_at - now),)

    async def _tell(self, order: Restore, taken: Taken, outcome: Outcome, reason: str, readings: Readings) -> None:
        event = tell_restored(order, taken, outcome, self._clock(), nodes=readings, reason=reason)
        await self._journal.record(event)
        self._ledger.note(event)


def _hints_of(order: Restore) -> Hints:
    """A broken annotation does not keep a living pod out of service: what can be read without it is enough."""
    try:
        return read_hints(order.pod)
    except HintError:
        return Hints()
