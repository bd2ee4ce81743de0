"""The guard before a command that nobody's end has caused takes an instance out."""

from __future__ import annotations

from controller.domain.commands import DrainCommand, Target
from controller.domain.events import Outcome
from controller.domain.guard import GuardPolicy, RecentTakeOuts, heartbeats_again, may_heartbeat
from controller.domain.instances import Condition
from controller.domain.stages import Finish, Readings, Wait
from controller.flows.ports import Clock, Registry

MAX_SIBLINGS_READ = 8
"""Other instances of the app that are asked, at most, whether they serve."""


class GuardChecks:
    """The guard of one region."""

    def __init__(
        self, *, region: str, registry: Registry, guard: GuardPolicy, clock: Clock, recent_take_outs: RecentTakeOuts
    ) -> None:
        self._region = region
        self._registry = registry
        self._guard = guard
        self._clock = clock
        self._recent_take_outs = recent_take_outs

    async def objection(self, command: DrainCommand, target: Target, readings: Readings) -> Finish | Wait | None:
        """Why not, or not yet. RegistryError when the app's other instances cannot be had."""
        if not command.requested_by:
            return None
        if heartbeats_again(target, readings):
            return Finish(outcome=Outcome.refused, reason="it heartbeats: it was silent when it was asked for")
        now = self._clock()
        if not may_heartbeat(target, readings, now):
            return None
        others = [
            one for one in await self._registry.siblings(target.app) if one.id != target.id and one.status == "UP"
        ]
        if self._guard.last_instance and not await self._any_serves(target.app, [one.id for one in others]):
            reason = f"it is the last instance of {target.app} that is UP (guard.last_instance)"
            return Finish(outcome=Outcome.refused, reason=reason)
        if self._guard.max_percent_per_minute:
            place = (self._region, target.app)
            most = self._guard.max_per_minute(len(others) + 1)
            if self._recent_take_outs.count(place, now, but=target.id) >= most:
                return Wait(
                    trouble=f"held back: no more than {most} of {target.app} a minute (guard.max_percent_per_minute)"
                )
            self._recent_take_outs.add(place, target.id, now)
        return None

    async def _any_serves(self, app: str, ids: list[str]) -> bool:
        """Whether one of them is UP at every node that answers, past the response cache."""
        for instance_id in ids[:MAX_SIBLINGS_READ]:
            readings = await self._registry.read(app, instance_id)
            conditions = {reading.condition for reading in readings if reading.answered}
            statuses = {reading.instance.status for reading in readings if reading.instance is not None}
            if conditions == {Condition.in_service} and statuses == {"UP"}:
                return True
        return False
