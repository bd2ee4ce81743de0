"""Last one standing: what a person or the sweep asks for must not take an app's last instance, nor most of it at once.

A pod that is really dying is always drained: clients gain nothing from calling it. So these rules are for commands that
nobody's end has caused, and for instances that still heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.bounded_map import BoundedMap
from controller.domain.events import Event, LogEntry, Outcome

RATE_INTERVAL = timedelta(minutes=1)
MAX_RECENT = 10_000

Place = tuple[str, str]
"""Region and app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The limits."""

    last_instance: bool = True
    max_percent_per_minute: int = 25
    """0: no limit."""

    def max_per_minute(self, size: int) -> int:
        """Return how many of an app's instances may go in a minute: one at least, or nothing would ever move."""
        return max(1, size * self.max_percent_per_minute // 100)


class RecentTakeOuts:
    """What commands of people and of the sweep took out in the last minute, by this process and, from the log, all."""

    def __init__(self) -> None:
        self._at: BoundedMap[tuple[Place, str], datetime] = BoundedMap(MAX_RECENT)

    def apply(self, event: LogEntry) -> None:
        """Take the next entry of the log."""
        if isinstance(event, Event) and event.outcome is Outcome.out_of_service and event.requested_by:
            self.add((event.region, event.app), event.instance_id, event.at)

    def add(self, place: Place, instance_id: str, at: datetime) -> None:
        """Note that one is taken out."""
        self._at[(place, instance_id)] = at

    def count(self, place: Place, now: datetime, *, but: str) -> int:
        """Return how many of an app were, one instance aside."""
        return sum(
            1
            for (where, instance_id), at in self._at.items()
            if where == place and instance_id != but and now - at < RATE_INTERVAL
        )
