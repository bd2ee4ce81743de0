"""How drained pods took their leave, by workload: which services lose requests in a rollout, and why."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from controller.domain.events import Outcome
from controller.domain.leave import Grace, Leave
from controller.domain.pod_end import Cut
from controller.domain.stay.workloads import Workload
from controller.domain.story import Story

MOST_WORKLOADS = 2_000
"""Whose series are kept apart: whoever may create pods names them."""
OTHER, BARE = "(other)", "(bare)"
"""No workload can have such a name."""


class LeaveMetrics:
    """Counts verdicts. Without a registry, nobody sees them."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        # Not by a label `namespace`: that is the scraped pod's own.
        self._left = Counter(
            "eureka_drain_pods_left",
            "Drained pods that have ended since this process began, by workload: graceful, not_graceful, or unjudged; "
            "and what ended them just then, or why nothing is said. From ops.",
            ["workload", "grace", "reason"],
            registry=registry,
        )
        self._short = Counter(
            "eureka_drain_pods_left_short_seconds",
            "How much longer those that were not graceful should have served, added up, by workload. From ops.",
            ["workload"],
            registry=registry,
        )
        self._seen: set[str] = set()

    def judged(self, story: Story, leave: Leave) -> None:
        """Count one."""
        workload = self._workload(story)
        self._left.labels(workload, leave.grace.name, _reason(story, leave)).inc()
        if leave.short_by is not None:
            self._short.labels(workload).inc(leave.short_by.total_seconds())

    def _workload(self, story: Story) -> str:
        if story.end is None:
            return OTHER
        kind, name = story.end.kind.lower(), story.end.workload
        # Pods of nobody have names that do not come again.
        workload = str(Workload(story.namespace, kind, name if kind != "pod" else BARE))
        if workload not in self._seen and len(self._seen) >= MOST_WORKLOADS:
            return OTHER
        self._seen.add(workload)
        return workload


def _reason(story: Story, leave: Leave) -> str:
    """One word of a fixed set."""
    if leave.grace is Grace.graceful:
        return ""
    if story.safe_at is None and story.state is not Outcome.out_of_service:
        return story.state.value
    return (story.end.cut if story.end else Cut.unknown).value
