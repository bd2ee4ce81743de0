"""Out of service: read every node, prove that the instance is the pod's, write to all at once, read all back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from controller.domain.commands import Cause, Command, Stage, Target
from controller.domain.drain import (
    Finish,
    Look,
    Readings,
    Settled,
    TakeOut,
    Wait,
    guard,
    renewals,
    to_leave,
    to_take_out,
)
from controller.domain.events import Outcome, tell
from controller.domain.hints import Hints
from controller.domain.schedule import FIRST_WATCHFUL
from controller.errors import RegistryError
from controller.flows.ports import Clock, Registry
from controller.flows.standing import Standing
from controller.flows.steps import Ended, Next, Policy, Step, safe_at, untroubled, wait_or_give_up
from controller.flows.urgency import Urgency

READ_BACK_PAUSES = (0.0, 0.1, 0.3, 0.8)
"""Seconds before each reading after a write: nodes tell each other within about 0.7 s, and may undo each other's."""


class Drain:
    """The first stage of one instance."""

    def __init__(
        self,
        *,
        registry: Registry,
        policy: Policy,
        clock: Clock,
        urgency: Urgency,
        slots: asyncio.Semaphore,
        standing: Standing,
    ) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._urgency = urgency
        self._slots = slots
        self._standing = standing

    async def advance(self, command: Command, hints: Hints, target: Target) -> Step:
        """Try to get the instance out of service at every node."""
        with self._urgency.urgent():
            async with self._slots:
                refused: Readings = ()
                readings = await self._registry.read(target.app, target.id)
                decision = guard(target, command, hints, readings) or to_take_out(readings)
                if isinstance(decision, TakeOut):
                    decision = await self._objection(command, target, readings) or decision
                if isinstance(decision, TakeOut):
                    target = replace(target, written=True)
                    refused = await self._registry.take_out(target.app, target.id, decision.nodes, decision.stubborn)
        await self._urgency.lull()
        if isinstance(decision, TakeOut):
            async with self._slots:
                readings = await read_back(self._registry, target, decision, readings, refused)
            decision = guard(target, command, hints, readings) or to_take_out(readings)
        now = self._clock()
        match decision:
            case Finish(outcome=Outcome.superseded | Outcome.refused) if target.written:
                # The id may bear our override into its new hands: see to that before it is left alone.
                return Step(ending=Next(target=replace(target, stage=Stage.retire, due_at=now)))
            case Finish(outcome=outcome, reason=reason):
                event = tell(command, outcome, now, reason=reason, target=target, nodes=readings)
                return Step(ending=Ended(), events=(event,))
            case Settled():
                return self._settled(command, hints, target, readings)
            case Wait(trouble=trouble):
                return wait_or_give_up(command, target, readings, now, self._policy, trouble)
            case TakeOut():
                return wait_or_give_up(command, target, readings, now, self._policy)

    async def _objection(self, command: Command, target: Target, readings: Readings) -> Finish | Wait | None:
        try:
            return await self._standing.objection(command, target, readings)
        except RegistryError as error:
            return Wait(trouble=f"the app's other instances cannot be counted: {error}")

    def _settled(self, command: Command, hints: Hints, target: Target, readings: Readings) -> Step:
        now = self._clock()
        match to_leave(target, readings, now):
            case Finish(outcome=outcome, reason=reason):
                # It went by itself, and has been away since it was looked for first.
                safe = self._safe_at(command, target, target.looked_at or now)
                event = tell(command, outcome, now, reason=reason, target=target, nodes=readings, safe_at=safe)
                return Step(ending=Ended(), events=(event,))
            case Look(after=after):
                away_since = now if target.renewals else target.looked_at or now
                away = untroubled(target, due_at=now + after, renewals={}, looked_at=away_since)
                return Step(ending=Next(target=away))
            case None:
                pass
        retention = self._policy.retention if hints.retention is None else hints.retention
        ends = self._policy.remove and command.cause is not Cause.asked
        ends_at = max(command.end_at, now) + retention if ends else None
        event = tell(
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
            due_at=now + FIRST_WATCHFUL,
            renewals=renewals(readings),
            looked_at=now,
            attempt=1,
        )
        return Step(ending=Next(target=later), events=(event,))

    def _safe_at(self, command: Command, target: Target, since_at: datetime) -> datetime:
        return safe_at(command, target, since_at, self._policy, self._registry)


async def read_back(
    registry: Registry, target: Target, decision: TakeOut, before: Readings, refused: Readings
) -> Readings:
    """Read the nodes that were written until they show it, or for about a second.

    A node that took no write and does not show it otherwise (from its peer) is told by its refusal.
    """
    readings = before
    for pause in READ_BACK_PAUSES:
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
