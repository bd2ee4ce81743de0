"""The guard before a command that nobody's end has caused takes an instance out."""

from __future__ import annotations

from datetime import datetime

from controller.domain.commands import DrainCommand, Target
from controller.domain.events import Outcome
from controller.domain.guard_policy import GuardPolicy, RecentTakeOuts
from controller.domain.instances import Condition, Readings
from controller.domain.reason import Reason, ReasonCode
from controller.domain.silence import heartbeats_again, may_heartbeat
from controller.domain.stage_decisions import Finish, Obstructed, Report
from controller.flows.ports import Registry

MAX_SIBLINGS_READ = 8
"""Other instances of the app that are asked, at most, whether they serve."""


class Guard:
    """The guard of one region."""

    def __init__(self, *, registry: Registry, policy: GuardPolicy, recent_take_outs: RecentTakeOuts) -> None:
        self._registry = registry
        self._policy = policy
        self._recent_take_outs = recent_take_outs

    async def objection(
        self, command: DrainCommand, target: Target, readings: Readings, now: datetime
    ) -> Finish | Obstructed | None:
        """Return why not, or not yet. RegistryError when the app's other instances cannot be had."""
        if not command.requested_by:
            return None
        if heartbeats_again(target, readings):
            return _refuse(ReasonCode.heartbeats, "it heartbeats: it was silent when it was asked for")
        if not may_heartbeat(target, readings, now):
            return None
        others = [one for one in await self._registry.siblings(target.app) if one.id != target.id and one.is_up]
        if self._policy.last_instance and not await self._any_serves(target.app, [one.id for one in others]):
            detail = f"it is the last instance of {target.app} that is UP (guard.last_instance)"
            return _refuse(ReasonCode.last_instance, detail)
        if self._policy.max_percent_per_minute:
            place = (command.region, target.app)
            most = self._policy.max_per_minute(len(others) + 1)
            if self._recent_take_outs.count(place, now, but=target.id) >= most:
                detail = f"held back: no more than {most} of {target.app} a minute (guard.max_percent_per_minute)"
                return Obstructed(reason=Reason(code=ReasonCode.rate_limited, detail=detail))
            self._recent_take_outs.add(place, target.id, now)
        return None

    async def _any_serves(self, app: str, ids: list[str]) -> bool:
        """Return whether one of them is UP at every node that answers, past the response cache."""
        for instance_id in ids[:MAX_SIBLINGS_READ]:
            readings = await self._registry.read(app, instance_id)
            conditions = {reading.condition for reading in readings if reading.answered}
            shown = [reading.instance for reading in readings if reading.instance is not None]
            if conditions == {Condition.in_service} and all(instance.is_up for instance in shown):
                return True
        return False


def _refuse(code: ReasonCode, detail: str) -> Finish:
    return Finish(report=Report(outcome=Outcome.refused, reason=Reason(code=code, detail=detail)))
