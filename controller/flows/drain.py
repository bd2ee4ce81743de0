"""Out of service: read every node, prove that the instance is the pod's, write to all at once, read all back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from controller.domain.annotations import PodAnnotations
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.events import Outcome, make_event
from controller.domain.intervals import FIRST_HEARTBEAT_CHECK_INTERVAL
from controller.domain.stages import (
    Finish,
    Look,
    Readings,
    Settled,
    TakeOut,
    Wait,
    check_ownership,
    decide_absent,
    decide_take_out,
    renewals,
)
from controller.errors import RegistryError
from controller.flows.guard_checks import GuardChecks
from controller.flows.ports import Clock, Registry
from controller.flows.priority import PriorityGate
from controller.flows.steps import Ended, Next, Policy, Step, retry_or_fail, safe_at, untroubled

READ_BACK_INTERVALS = (0.0, 0.1, 0.3, 0.8)
"""Seconds before each reading after a write: nodes tell each other within about 0.7 s, and may undo each other's."""


class Drain:
    """The first stage of one instance."""

    def __init__(
        self,
        *,
        registry: Registry,
        policy: Policy,
        clock: Clock,
        priority: PriorityGate,
        slots: asyncio.Semaphore,
        standing: GuardChecks,
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._priority = priority
        self._slots = slots
        self._standing = standing

    async def advance(self, command: DrainCommand, annotations: PodAnnotations, target: Target) -> Step:
        """Try to get the instance out of service at every node."""
        with self._priority.urgent():
            async with self._slots:
                refused: Readings = ()
                readings = await self._registry.read(target.app, target.id)
                decision = check_ownership(target, command, annotations, readings) or decide_take_out(readings)
                if isinstance(decision, TakeOut):
                    decision = await self._objection(command, target, readings) or decision
                if isinstance(decision, TakeOut):
                    target = replace(target, may_have_override=True)
                    refused = await self._registry.take_out(target.app, target.id, decision.nodes, decision.stubborn)
        await self._priority.wait_until_idle()
        if isinstance(decision, TakeOut):
            async with self._slots:
                readings = await read_back(self._registry, target, decision, readings, refused)
            decision = check_ownership(target, command, annotations, readings) or decide_take_out(readings)
        now = self._clock()
        match decision:
            case Finish(outcome=Outcome.superseded | Outcome.refused) if target.may_have_override:
                # The id may bear our override into its new hands: see to that before it is left alone.
                return Step(ending=Next(target=replace(target, stage=Stage.retire, due_at=now)))
            case Finish(outcome=outcome, reason=reason):
                event = make_event(command, outcome, now, reason=reason, target=target, nodes=readings)
                return Step(ending=Ended(), events=(event,))
            case Settled():
                return self._settled(command, annotations, target, readings)
            case Wait(trouble=trouble):
                return retry_or_fail(command, target, readings, now, self._policy, trouble)
            case TakeOut():
                return retry_or_fail(command, target, readings, now, self._policy)

    async def _objection(self, command: DrainCommand, target: Target, readings: Readings) -> Finish | Wait | None:
        try:
            return await self._standing.objection(command, target, readings)
        except RegistryError as error:
            return Wait(trouble=f"the app's other instances cannot be counted: {error}")

    def _settled(self, command: DrainCommand, annotations: PodAnnotations, target: Target, readings: Readings) -> Step:
        now = self._clock()
        match decide_absent(target, readings, now):
            case Finish(outcome=outcome, reason=reason):
                # It went by itself, and has been away since it was looked for first.
                safe = self._safe_at(command, target, target.looked_at or now)
                event = make_event(command, outcome, now, reason=reason, target=target, nodes=readings, safe_at=safe)
                return Step(ending=Ended(), events=(event,))
            case Look(after=after):
                away_since = now if target.renewals else target.looked_at or now
                away = untroubled(target, due_at=now + after, renewals={}, looked_at=away_since)
                return Step(ending=Next(target=away))
            case None:
                pass
        retention = self._policy.retention if annotations.retention is None else annotations.retention
        ends = self._policy.remove and command.cause is not Cause.asked
        ends_at = max(command.end_at, now) + retention if ends else None
        event = make_event(
            command,
            Outcome.out_of_service,
            now,
            target=target,
            nodes=readings,
            retention_ends_at=ends_at,
            safe_at=self._safe_at(command, target, now),
        )
        if not self._policy.remove:
            return Step(ending=Ended(), events=(event,))
        later = untroubled(
            target,
            stage=Stage.retire,
            due_at=now + FIRST_HEARTBEAT_CHECK_INTERVAL,
            renewals=renewals(readings),
            looked_at=now,
            attempt=1,
        )
        return Step(ending=Next(target=later), events=(event,))

    def _safe_at(self, command: DrainCommand, target: Target, since_at: datetime) -> datetime:
        return safe_at(command, target, since_at, self._policy, self._registry)


async def read_back(
    registry: Registry, target: Target, decision: TakeOut, before: Readings, refused: Readings
) -> Readings:
    """Read the nodes that were written until they show it, or for about a second.

    A node that took no write and does not show it otherwise (from its peer) is told by its refusal.
    """
    readings = before
    for pause in READ_BACK_INTERVALS:
        await asyncio.sleep(pause)
        fresh = {reading.node: reading for reading in await registry.read(target.app, target.id, decision.nodes)}
        readings = tuple(fresh.get(reading.node, reading) for reading in before)
        if all(reading.settled for reading in fresh.values()):
            return readings
    why = {reading.node: reading for reading in refused}
    return tuple(
        replace(why[reading.node], instance=reading.instance)
        if reading.node in why and not reading.settled
        else reading
        for reading in readings
    )
