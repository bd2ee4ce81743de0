"""The metrics of every role, behind the flows' one hook (``Observer``)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from controller.domain.commands import Cause
from controller.domain.events import Event, Outcome

LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900)


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._published = Counter(
            "eureka_drain_commands_published",
            "Drain commands confirmed by the broker, by cause.",
            ["cause"],
            registry=self.registry,
        )
        self._outcomes = Counter(
            "eureka_drain_events",
            "Events written to the log, by region and outcome.",
            ["region", "outcome"],
            registry=self.registry,
        )
        self._retries = Counter(
            "eureka_drain_retries",
            "Steps sent back through the delay ladder because something stood in their way, by region.",
            ["region"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "eureka_drain_out_of_service_seconds",
            "From the pod's deletion (or its end) to OUT_OF_SERVICE proved at every node, by region.",
            ["region"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._pods = Gauge("eureka_drain_watched_pods", "Pods that the watch holds.", registry=self.registry)
        self._backlog = Gauge(
            "eureka_drain_publish_backlog",
            "Pods whose commands the broker has not confirmed yet.",
            registry=self.registry,
        )

    def published(self, cause: Cause) -> None:
        """Count a confirmed command."""
        self._published.labels(cause.value).inc()

    def recorded(self, event: Event) -> None:
        """Count an event, and the latency of what it tells."""
        self._outcomes.labels(event.region, event.outcome.value).inc()
        if event.outcome is Outcome.out_of_service and event.since_at is not None:
            self._latency.labels(event.region).observe(max(0.0, (event.at - event.since_at).total_seconds()))

    def retried(self, region: str) -> None:
        """Count a retry."""
        self._retries.labels(region).inc()

    def tracked(self, pods: int, backlog: int) -> None:
        """Show what the watch holds."""
        self._pods.set(pods)
        self._backlog.set(backlog)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
