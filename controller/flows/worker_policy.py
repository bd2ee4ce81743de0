"""The settings that a worker goes by, and the one place that decides how a retry waits and when it gives up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from controller.domain.commands import Progress, Target
from controller.domain.guard_policy import GuardPolicy
from controller.domain.intervals import retry_delay
from controller.domain.reason import Reason
from controller.domain.shutdown.window import STOCK, Windows

Retried = TypeVar("Retried", Target, Progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPolicy:
    """How a worker proceeds."""

    retention: timedelta
    remove: bool = True
    give_up_after: timedelta = timedelta(hours=1)
    max_backoff: timedelta = timedelta(seconds=15)
    index_age: timedelta = timedelta(seconds=20)
    """How old the shared index may be for the first look."""
    instance_id_templates: tuple[str, ...] = ()
    concurrency: int = 32
    """Instances that are written at a time."""
    max_waiters: int = 500
    """Messages that are held until the event log has taken what they ended with; fewer than may be held at all."""
    guard: GuardPolicy = field(default_factory=GuardPolicy)
    windows: Windows = STOCK

    def retry_or_give_up(self, what: Retried, reason: Reason, now: datetime) -> Retried | None:
        """Return what to come back with, and when; None once something has stood in the way for too long."""
        since = what.trouble_since or now
        if now - since >= self.give_up_after:
            return None
        due_at = now + retry_delay(what.attempt, self.max_backoff)
        return replace(what, attempt=what.attempt + 1, trouble=reason, trouble_since=since, due_at=due_at)
