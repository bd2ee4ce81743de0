"""Last one standing: what a person or the sweep asks for must not take an app's last instance, nor most of it at once.

A pod that is really dying is always drained: clients gain nothing from calling it. So these rules are for commands that
nobody's end has caused, and for instances that still heartbeat.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.commands import Target
from controller.domain.events import Event, Outcome
from controller.domain.instances import silence_of
from controller.domain.ownership import CLOCK_SKEW
from controller.domain.stages import Readings, present, renewals

RATE_INTERVAL = timedelta(minutes=1)
MAX_RECENT = 10_000

Place = tuple[str, str]
"""Region and app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The settings."""

    last_instance: bool = True
    max_percent_per_minute: int = 25
    """0: no limit."""

    def max_per_minute(self, size: int) -> int:
        """How many of an app's instances may go in a minute: one at least, or nothing would ever move."""
        return max(1, size * self.max_percent_per_minute // 100)


class RecentTakeOuts:
    """What commands of people and of the sweep took out in the last minute, by this process and, from the log, all."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[Place, str], datetime] = OrderedDict()

    def apply(self, event: Event) -> None:
        """Take the next event of the log."""
        if event.outcome is Outcome.out_of_service and event.requested_by:
            self.add((event.region, event.app), event.instance_id, event.at)

    def add(self, place: Place, instance_id: str, at: datetime) -> None:
        """One is taken out."""
        key = (place, instance_id)
        self._at.pop(key, None)
        self._at[key] = at
        while len(self._at) > MAX_RECENT:
            self._at.popitem(last=False)

    def count(self, place: Place, now: datetime, *, but: str) -> int:
        """How many of an app, one instance aside."""
        return sum(
            1
            for (where, instance_id), at in self._at.items()
            if where == place and instance_id != but and now - at < RATE_INTERVAL
        )


def may_heartbeat(target: Target, readings: Readings, now: datetime) -> bool:
    """Whether the process behind it may still be alive.

    A renewal time lies up to 90 s ahead of the renewal itself, never behind it.
    """
    instances = present(readings)
    if target.looked_at is not None and target.renewals and target.renewals == renewals(readings):
        silence = max((silence_of(instance.renewal_interval) for instance in instances), default=timedelta(0))
        if now - target.looked_at >= silence:
            return False
    return any(
        instance.renewed_at is None or now - instance.renewed_at < silence_of(instance.renewal_interval) + CLOCK_SKEW
        for instance in instances
    )


def heartbeats_again(target: Target, readings: Readings) -> bool:
    """Whether a process that was proved silent has renewed since."""
    seen = renewals(readings)
    return bool(target.renewals) and any(target.renewals.get(node) != at for node, at in seen.items())
