"""What became of drains, as this process records it."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Histogram

from controller.domain.events import CODES, Event, Outcome
from controller.domain.reason import ReasonCode

LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900)
"""Seconds. Fine below 1 s, where it should be; 10 to 30 s is when callers notice; later than 900 s is lost."""
NO_REGION = "(none)"
UNKNOWN_REGION = "(other)"
"""No region can have such a name."""


class DrainMetrics:
    """Counts events. Without a registry, nobody sees them."""

    def __init__(self, registry: CollectorRegistry | None, *, known: Collection[str], work: Collection[str]) -> None:
        self._known = frozenset(known)
        self._events = Counter(
            "eureka_drain_events",
            "Events written to the log, by outcome; a watch records requested (each replica its own) and refused, "
            "a worker all others. From watch and work.",
            ["region", "outcome"],
            registry=registry,
        )
        self._not_drained = Counter(
            "eureka_drain_not_drained",
            "Instances, or whole drains, that were refused, superseded or failed, by the reason's code. "
            "From watch and work.",
            ["region", "outcome", "reason"],
            registry=registry,
        )
        self._latency = Histogram(
            "eureka_drain_out_of_service_seconds",
            "From the pod's deletion (or its end) to OUT_OF_SERVICE proved at every node; without what a person or "
            "the sweep asked for. From work.",
            ["region"],
            buckets=LATENCY_BUCKETS,
            registry=registry if work else None,
        )
        self._retries = Counter(
            "eureka_drain_retries",
            "Steps that are taken again because something stood in their way. From work.",
            ["region"],
            registry=registry if work else None,
        )
        for region in work:
            self._begin(region)

    def _begin(self, region: str) -> None:
        self._latency.labels(region)
        self._retries.labels(region)
        for outcome in Outcome:
            self._events.labels(region, outcome.value)
            for code in CODES.get(outcome, ()):
                self._not_drained.labels(region, outcome.value, code.value)

    def recorded(self, event: Event) -> None:
        """Count an event, and how long it took to come to it."""
        region = self._label(event.region)
        self._events.labels(region, event.outcome.value).inc()
        if event.outcome in CODES:
            code = event.reason.code if event.reason else ReasonCode.other
            self._not_drained.labels(region, event.outcome.value, code.value).inc()
        if event.outcome is Outcome.out_of_service and event.since_at is not None and not event.requested_by:
            self._latency.labels(region).observe(max(0.0, (event.at - event.since_at).total_seconds()))

    def retried(self, region: str) -> None:
        """Count a retry."""
        self._retries.labels(self._label(region)).inc()

    def _label(self, region: str) -> str:
        """Bound the label's values: whoever may create a pod may name a region."""
        if not region:
            return NO_REGION
        return region if region in self._known else UNKNOWN_REGION
