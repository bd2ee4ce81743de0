"""One run: what stands, and what has been seen so far. The scene makes it, the rounds fill it, the report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.headline.callers import Caller
from tests.headline.observing import Observer
from tests.headline.record import Rollout
from tests.headline.variants import Variant
from tests.headline.verdict import Figures, judge
from tests.stack.controller_process import ControllerProcess
from tests.stack.prerequisites import ReportProgress
from tests.stack.stack import Stack
from tests.stack.timeline import now


@dataclass
class Trial:
    """`callers` are by their variants' keys."""

    stack: Stack
    observer: Observer
    controller: ControllerProcess
    callers: dict[str, Caller]
    report_progress: ReportProgress
    rollouts: list[Rollout] = field(default_factory=list)
    ended_at: datetime | None = None
    """The last round was over, or something failed."""

    @property
    def variants(self) -> list[Variant]:
        return [caller.variant for caller in self.callers.values()]

    @property
    def end(self) -> datetime:
        """Calls count up to here."""
        return self.ended_at or now()

    @property
    def begin(self) -> datetime:
        """The first restart: calls count from here on."""
        return min((rollout.asked_at for rollout in self.rollouts), default=self.end)

    def nodes(self, key: str) -> list[str]:
        """The names of the Eureka nodes of a variant's region."""
        return [node.name for node in self.stack.eureka[self.callers[key].variant.region].nodes]

    def figures(self) -> list[Figures]:
        """A column for each variant."""
        return [
            judge(
                caller.variant,
                [rollout for rollout in self.rollouts if rollout.variant == key],
                caller.look(),
                self.nodes(key),
                self.begin,
                self.end,
            )
            for key, caller in self.callers.items()
        ]

    def failed_parts(self) -> Sequence[str]:
        """What should run for ever and does not."""
        parts = [self.controller, *(caller for caller in self.callers.values() if not caller.renewing)]
        return [
            f"{part.name} ended by itself with {part.returncode}{part.tail()}" for part in parts if not part.running
        ]
