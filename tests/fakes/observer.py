"""The flows' ``Observer``, keeping what a metrics page would count."""

from __future__ import annotations

from collections import Counter

from controller.domain.causes import Cause
from controller.domain.events import Event


class FakeObserver:
    """Counts."""

    def __init__(self) -> None:
        self.published_causes: Counter[Cause] = Counter()
        self.recorded_events: list[Event] = []
        self.retries: Counter[str] = Counter()
        self.tracked_now = (0, 0)

    def published(self, cause: Cause) -> None:
        """A command was confirmed by the broker."""
        self.published_causes[cause] += 1

    def recorded(self, event: Event) -> None:
        """An event was confirmed by the broker."""
        self.recorded_events.append(event)

    def retried(self, region: str) -> None:
        """A step is taken again."""
        self.retries[region] += 1

    def tracked(self, pods: int, backlog: int) -> None:
        """How many pods the watch holds, and how many of them wait for the broker."""
        self.tracked_now = (pods, backlog)
