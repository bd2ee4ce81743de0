"""How far a replay has come, for its page: what was sent, what came of it, and how it ended. Reads, changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.drain_record import STATE_PRECEDENCE
from controller.domain.events import Outcome
from controller.domain.replay_plan import GOOD_ACTIONS, GOOD_ENDS, ReplayAction, ReplayItem, is_settled
from controller.ops.web.replays import Execution, story_of


class ReplayState(StrEnum):
    """Where the whole run stands."""

    running = "running"
    stopping = "stopping"
    stopped = "stopped by hand"
    broken = "broken off"
    bad = "over, not all of it well"
    open = "over, some without an outcome yet"
    good = "over, all well"
    nothing = "over, there was nothing to drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayStep:
    """One drain of it."""

    item: ReplayItem
    is_sent: bool
    outcome: Outcome | None
    reason: str

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to look at it."""
        if self.item.judged.verdict is ReplayAction.drain:
            return self.outcome is not None and self.outcome not in GOOD_ENDS
        return self.item.judged.verdict not in GOOD_ACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayView:
    """All of it. ``steps`` has the bad ones first, then those without an outcome."""

    steps: Sequence[ReplayStep]
    to_send: int
    sent: int
    outcomes: Counter[Outcome]
    ending: ReplayState

    @property
    def known(self) -> int:
        """How many have come to an outcome."""
        return self.outcomes.total()

    @property
    def bad(self) -> int:
        """How many somebody has to look at."""
        return sum(step.is_bad for step in self.steps)


def view_of(run: Execution) -> ReplayView:
    """Look at a replay once."""
    sent = {item.drain_id for item in run.came.sent}
    steps = [_step(run, item, item.drain_id in sent) for item in run.items]
    steps.sort(key=lambda step: (not step.is_bad, STATE_PRECEDENCE.index(step.outcome) if step.outcome else -1))
    outcomes = Counter(step.outcome for step in steps if step.outcome is not None)
    return ReplayView(
        steps=steps,
        to_send=len(run.to_drain),
        sent=len(sent),
        outcomes=outcomes,
        ending=_ending(run, steps, len(sent), outcomes),
    )


def _step(run: Execution, item: ReplayItem, is_sent: bool) -> ReplayStep:
    record = story_of(run, item) if is_sent else None
    if record is None or not is_settled(record, item.instances):
        return ReplayStep(item=item, is_sent=is_sent, outcome=None, reason=record.reason if record else "")
    return ReplayStep(item=item, is_sent=is_sent, outcome=record.state, reason=record.reason)


def _ending(run: Execution, steps: Sequence[ReplayStep], sent: int, outcomes: Counter[Outcome]) -> ReplayState:
    if run.over_at is None:
        return ReplayState.stopping if run.stopped else ReplayState.running
    if run.trouble:
        return ReplayState.broken
    if sent < len(run.to_drain):
        return ReplayState.stopped
    if any(step.is_bad for step in steps):
        return ReplayState.bad
    if outcomes.total() < sent:
        return ReplayState.open
    return ReplayState.good if sent else ReplayState.nothing
