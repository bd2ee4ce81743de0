"""After the retention: fence once more, delete what has fallen silent, and look until it is gone from every node."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.events import Event, Outcome, make_event
from controller.domain.intervals import REPLICATION_INTERVAL, UNNAMED_ID_INTERVAL
from controller.domain.ledger import Ledger
from controller.domain.ownership import names_the_pod
from controller.domain.stages import (
    Delete,
    Finish,
    Hold,
    LiftOverride,
    Look,
    Readings,
    Settled,
    TakeOut,
    Wait,
    check_ownership,
    decide_delete,
    decide_retention,
    decide_take_out,
    decide_takeover,
    is_ours,
    present,
    renewals,
)
from controller.flows.drain import read_back
from controller.flows.ports import Clock, Registry
from controller.flows.steps import Ended, Next, Policy, Step, retry_or_fail, safe_at, untroubled

DELETE_ATTEMPTS = 3
BACK = "it was back in service"
BACK_AGAIN = "it is back after each DELETE; does a node count itself among its peers?"


class Retire:
    """The later stages of one instance: retire and delete."""

    def __init__(
        self, *, registry: Registry, policy: Policy, clock: Clock, slots: asyncio.Semaphore, ledger: Ledger
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._slots = slots
        self._ledger = ledger

    async def advance(self, command: DrainCommand, annotations: PodAnnotations, target: Target) -> Step:
        """Look at every node, and do what its state asks for."""
        async with self._slots:
            return await self._look_and_act(command, annotations, target)

    async def _look_and_act(self, command: DrainCommand, annotations: PodAnnotations, target: Target) -> Step:
        readings = await self._registry.read(target.app, target.id)
        now = self._clock()
        ended = check_ownership(target, command, annotations, readings)
        if ended is not None:
            return await self._end(command, annotations, target, ended, readings)
        match self._decide(command, annotations, target, readings, now):
            case Finish() as finish:
                return self._finish(command, target, finish, readings, now)
            case Wait(trouble=trouble):
                return retry_or_fail(command, target, readings, now, self._policy, trouble)
            case TakeOut() as decision:
                # The override was lifted (a node restarted, a flip back): the drain is still in force.
                refused = await self._registry.take_out(target.app, target.id, decision.nodes, decision.stubborn)
                readings = await read_back(self._registry, target, decision, readings, refused)
                if not isinstance(decide_take_out(readings), Settled):
                    return retry_or_fail(command, target, readings, now, self._policy, BACK)
                again = self._out_again(command, target, readings)
                step = retry_or_fail(command, target, readings, now, self._policy, again.reason)
                return replace(step, events=(again,)) if isinstance(step.ending, Next) else step
            case Look(after=after):
                return self._told_out_again(_look_again(target, readings, now, after), command, target, readings)
            case Hold(after=after):
                held = Step(ending=Next(target=untroubled(target, due_at=now + after, attempt=1)))
                return self._told_out_again(held, command, target, readings)
            case Delete(nodes=nodes):
                if target.stage is Stage.retire:
                    return Step(ending=Next(target=replace(target, stage=Stage.delete, due_at=now, attempt=1)))
                return await self._delete(command, target, readings, nodes)

    def _out_again(self, command: DrainCommand, target: Target, readings: Readings) -> Event:
        """Callers were given it once more: from now on they are not. The time makes each such event one of its own."""
        now = self._clock()
        safe = safe_at(command, target, now, self._policy, self._registry)
        reason = f"it was back in service until {now:%H:%M:%S}Z"
        return make_event(command, Outcome.requested, now, reason=reason, target=target, nodes=readings, safe_at=safe)

    def _told_out_again(self, step: Step, command: DrainCommand, target: Target, readings: Readings) -> Step:
        """What could not be proved then is proved now."""
        if target.trouble != BACK or not present(readings):
            return step
        return replace(step, events=(self._out_again(command, target, readings),))

    async def _end(
        self, command: DrainCommand, annotations: PodAnnotations, target: Target, ended: Finish, readings: Readings
    ) -> Step:
        """Leave the id to whoever holds it now, without the override that we set on it."""
        now = self._clock()
        if ended.outcome is not Outcome.superseded:
            return self._finish(command, target, ended, readings, now)
        key = (command.drain_id, target.app, target.id)
        newer = [one for one in present(readings) if not is_ours(one, target, command, annotations)]
        if any(self._ledger.is_taken_again(key, command.region, one, now) for one in newer):
            # What took the id over is being drained itself: from here on, that drain is the one that holds it.
            return self._finish(command, target, ended, readings, now)
        match decide_takeover(target, command, annotations, readings):
            case Settled():
                # Whoever lifted what we set: the id serves again, and all who tell so tell the same.
                was_out = target.stage is Stage.restore or target.looked_at is not None
                restored = Finish(outcome=Outcome.restored, reason=ended.reason)
                return self._finish(command, target, restored if was_out else ended, readings, now)
            case Wait(trouble=trouble):
                return retry_or_fail(command, target, readings, now, self._policy, trouble)
            case Look(after=after):
                return Step(ending=Next(target=replace(target, due_at=now + after)))
            case LiftOverride() if target.stage is not Stage.restore:
                # Written down before it is done: a crash in between is then no other outcome.
                return Step(ending=Next(target=untroubled(target, stage=Stage.restore, due_at=now, attempt=1)))
            case LiftOverride(nodes=nodes, split=split):
                refused = await self._registry.lift(target.app, target.id, nodes, split=split)
                if refused:
                    return retry_or_fail(command, target, refused, self._clock(), self._policy)
                return Step(ending=Next(target=replace(target, due_at=self._clock() + REPLICATION_INTERVAL)))

    async def _delete(self, command: DrainCommand, target: Target, readings: Readings, nodes: tuple[str, ...]) -> Step:
        """Delete everywhere, and come back when replication has settled."""
        refused = await self._registry.delete(target.app, target.id, nodes)
        now = self._clock()
        if refused:
            return retry_or_fail(command, target, refused, now, self._policy)
        if target.attempt > DELETE_ATTEMPTS:
            return retry_or_fail(command, target, readings, now, self._policy, BACK_AGAIN)
        later = untroubled(target, due_at=now + REPLICATION_INTERVAL, attempt=target.attempt + 1)
        return Step(ending=Next(target=later))

    def _decide(
        self, command: DrainCommand, annotations: PodAnnotations, target: Target, readings: Readings, now: datetime
    ) -> Finish | TakeOut | Wait | Look | Hold | Delete:
        if target.stage is Stage.delete:
            return decide_delete(target, readings)
        retention = self._policy.retention if annotations.retention is None else annotations.retention
        longest = timedelta.max if names_the_pod(target.id, command.pod) else UNNAMED_ID_INTERVAL
        return decide_retention(target, readings, now, end_at=command.end_at, retention=retention, longest=longest)

    @staticmethod
    def _finish(command: DrainCommand, target: Target, finish: Finish, readings: Readings, now: datetime) -> Step:
        event = make_event(command, finish.outcome, now, reason=finish.reason, target=target, nodes=readings)
        return Step(ending=Ended(), events=(event,))


def _look_again(target: Target, readings: Readings, now: datetime, after: timedelta) -> Step:
    """Note what the nodes show, since when; after a DELETE it has come back, and its silence is to be proved anew."""
    seen = renewals(readings)
    unchanged = target.looked_at is not None and target.renewals == seen
    later = untroubled(
        target,
        stage=Stage.retire,
        due_at=now + after,
        renewals=seen,
        looked_at=target.looked_at if unchanged else now,
        attempt=1,
    )
    return Step(ending=Next(target=later))
