"""How one step of one instance ended, and the event that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from controller.domain.commands import Stage, Target
from controller.domain.events import Event, Outcome, make_event
from controller.domain.instances import dirty_at
from controller.domain.intervals import REPLICATION_INTERVAL
from controller.domain.reason import Reason
from controller.domain.stage_decisions import Observation, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How one step of one instance ended: a target to go on with, or a reason to give up, or neither."""

    onward: Target | None = None
    given_up: Reason | None = None
    event: Event | None = None

    def after_redelivery(self, target: Target, now: datetime) -> StepResult:
        """Return what it leads to when the step was delivered before, and finds the instance gone.

        The first handling may have gone on to the DELETE: ``already_gone`` would contradict its ``removed``.
        """
        gone = self.event is not None and self.event.outcome is Outcome.already_gone
        if target.stage is Stage.retain and gone:
            return StepResult(onward=replace(target, stage=Stage.delete, due_at=now + REPLICATION_INTERVAL))
        return self


def event_of(seen: Observation, report: Report) -> Event:
    """Compose the event of what a stage reports."""
    return make_event(
        seen.command,
        report.outcome,
        seen.now,
        reason=report.reason,
        target=seen.target,
        nodes=seen.readings,
        dirty_at=dirty_at(seen.readings) if report.outcome is Outcome.out_of_service else None,
        retention_ends_at=report.retention_ends_at,
        safe_at=report.safe_at,
    )
