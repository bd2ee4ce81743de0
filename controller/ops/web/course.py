"""How far a replay has come, for its page: what was sent, what came of it, and how it ended. Reads, changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.events import Outcome
from controller.domain.replay import GOOD_ENDS, GOOD_VERDICTS, Item, Verdict, is_settled
from controller.domain.story import URGENCY
from controller.ops.web.replays import Execution, story_of


class Ending(StrEnum):
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
class Step:
    """One drain of it."""

    item: Item
    is_sent: bool
    outcome: Outcome | None
    reason: str

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to look at it."""
        if self.item.judged.verdict is Verdict.drain:
            return self.outcome is not None and self.outcome not in GOOD_ENDS
        return self.item.judged.verdict not in GOOD_VERDICTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """All of it. ``steps`` has the bad ones first, then those without an outcome."""

    steps: Sequence[Step]
    to_send: int
    sent: int
    outcomes: Counter[Outcome]
    ending: Ending

    @property
    def known(self) -> int:
        """How many have come to an outcome."""
        return self.outcomes.total()

    @property
    def bad(self) -> int:
        """How many somebody has to look at."""
        return sum(step.is_bad for step in self.steps)


def course_of(run: Execution) -> Course:
    """Look at a replay once."""
    sent = {item.drain_id for item in run.came.sent}
    steps = [_step(run, item, item.drain_id in sent) for item in run.items]
    steps.sort(key=lambda step: (not step.is_bad, URGENCY.index(step.outcome) if step.outcome else -1))
    outcomes = Counter(step.outcome for step in steps if step.outcome is not None)
    return Course(
        steps=steps,
        to_send=len(run.to_drain),
        sent=len(sent),
        outcomes=outcomes,
        ending=_ending(run, steps, len(sent), outcomes),
    )


def _step(run: Execution, item: Item, is_sent: bool) -> Step:
    story = story_of(run, item) if is_sent else None
    if story is None or not is_settled(story, item.instances):
        return Step(item=item, is_sent=is_sent, outcome=None, reason=story.reason if story else "")
    return Step(item=item, is_sent=is_sent, outcome=story.state, reason=story.reason)


def _ending(run: Execution, steps: Sequence[Step], sent: int, outcomes: Counter[Outcome]) -> Ending:
    if run.over_at is None:
        return Ending.stopping if run.stopped else Ending.running
    if run.trouble:
        return Ending.broken
    if sent < len(run.to_drain):
        return Ending.stopped
    if any(step.is_bad for step in steps):
        return Ending.bad
    if outcomes.total() < sent:
        return Ending.open
    return Ending.good if sent else Ending.nothing
