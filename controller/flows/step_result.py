"""How one step of one instance ended, and the event that says so."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.commands import Stage, Target
from controller.domain.events import ENDED, Event, Outcome, make_event
from controller.domain.instances import dirty_at
from controller.domain.reason import Reason
from controller.domain.stage_decisions import Observation, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How one step of one instance ended: a target to go on with, or a reason to give up, or neither."""

    onward: Target | None = None
    given_up: Reason | None = None
    event: Event | None = None


def event_of(seen: Observation, report: Report) -> Event:
    """Compose the event of what a stage reports."""
    was_held = seen.is_held or seen.target.stage is not Stage.take_out
    # A handling that finds the drain over begins anew, and has failed anew; an ending once more is a copy's.
    is_anew = seen.is_over and report.outcome not in ENDED
    is_ours = seen.target.may_have_override and not seen.target.was_out
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
        may_have_override=is_ours and report.outcome in (Outcome.retrying, Outcome.failed),
        was_held=was_held,
        turn=seen.turn + is_anew,
    )
