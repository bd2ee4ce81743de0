"""After the retention: fence once more, delete what has fallen silent, and look until it is gone from every node."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.commands import Command, Stage, Target
from controller.domain.drain import (
    Delete,
    Finish,
    Look,
    Readings,
    TakeOut,
    Wait,
    guard,
    renewals,
    to_retire,
    to_verify,
)
from controller.domain.events import tell
from controller.domain.hints import Hints
from controller.domain.schedule import SETTLE, postponement
from controller.flows.drain import take_out
from controller.flows.ports import Clock, Registry
from controller.flows.steps import Ended, Next, Policy, Step, wait_or_give_up


class Retire:
    """The later stages of one instance: retire and verify."""

    def __init__(self, *, registry: Registry, policy: Policy, clock: Clock) -> None:
        self._registry = registry
        self._policy = policy
        self._clock = clock

    async def advance(self, command: Command, hints: Hints, target: Target) -> Step:
        """Look at every node, and do what its state asks for."""
        readings = await self._registry.read(target.app, target.id)
        now = self._clock()
        ended = guard(target, command, hints, readings)
        if ended is not None:
            return self._finish(command, target, ended, readings, now)
        match to_verify(readings) if target.stage is Stage.verify else to_retire(target, readings, now):
            case Finish() as finish:
                return self._finish(command, target, finish, readings, now)
            case Wait(trouble=trouble):
                return wait_or_give_up(command, target, readings, now, self._policy, trouble)
            case TakeOut() as decision:
                # The override was lifted (a node restarted, a flip back): the drain is still in force.
                readings = await take_out(self._registry, target, decision, readings)
                return wait_or_give_up(command, target, readings, now, self._policy, "it was back in service")
            case Look(after=after, beating=beating):
                return _look_again(target, readings, now, after, beating=beating)
            case Delete(nodes=nodes):
                await self._registry.delete(target.app, target.id, nodes)
                later = replace(
                    target, stage=Stage.verify, due_at=self._clock() + SETTLE, trouble="", trouble_since=None
                )
                return Step(ending=Next(target=later))

    @staticmethod
    def _finish(command: Command, target: Target, finish: Finish, readings: Readings, now: datetime) -> Step:
        event = tell(command, finish.outcome, now, reason=finish.reason, target=target, nodes=readings)
        return Step(ending=Ended(), events=(event,))


def _look_again(target: Target, readings: Readings, now: datetime, after: timedelta, *, beating: bool) -> Step:
    if target.stage is Stage.verify:
        beating = False  # it came back: prove its silence anew, and soon
    attempt = target.attempt + 1 if beating else 1
    later = replace(
        target,
        stage=Stage.retire,
        due_at=now + (postponement(after, attempt - 1) if beating else after),
        renewals=renewals(readings),
        looked_at=now,
        attempt=attempt,
        trouble="",
        trouble_since=None,
    )
    return Step(ending=Next(target=later))
