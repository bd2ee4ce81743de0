"""The metrics of every role, behind the flows' one hook (``Observer``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from controller.domain.commands import Cause
from controller.domain.events import Event, Outcome
from controller.domain.overview import RegionState

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

        region = ["region"]
        self._waiting = Gauge(
            "eureka_drain_queue_messages",
            "Commands that wait in the region's queue. From ops.",
            region,
            registry=self.registry,
        )
        self._consumers = Gauge(
            "eureka_drain_queue_consumers",
            "Workers that consume the region's queue. From ops.",
            region,
            registry=self.registry,
        )
        self._dead = Gauge(
            "eureka_drain_dead_letters", "Dead letters of the region. From ops.", region, registry=self.registry
        )
        self._oldest = Gauge(
            "eureka_drain_oldest_unfinished_seconds",
            "How long the drain has waited that was asked for first and is not out of service; 0: none. From ops.",
            region,
            registry=self.registry,
        )
        self._node_up = Gauge(
            "eureka_drain_node_reachable",
            "1 when the Eureka node answers, else 0. From ops.",
            ["region", "node"],
            registry=self.registry,
        )
        self._differing = Gauge(
            "eureka_drain_nodes_differ_seconds",
            "For how long the region's nodes have told different registries; 0: they agree. From ops.",
            region,
            registry=self.registry,
        )
        self._watch_age = Gauge(
            "eureka_drain_watch_silent_seconds",
            "Since when the API server has not answered the watch, the longest of its scopes. From watch.",
            registry=self.registry,
        )
        self._reasons = Counter(
            "eureka_drain_not_drained",
            "Drains refused, superseded or failed, by region and kind of reason.",
            ["region", "outcome", "reason"],
            registry=self.registry,
        )

    def surveyed(self, state: RegionState) -> None:
        """Show a region's newest state."""
        if state.work is not None:
            self._waiting.labels(state.region).set(state.work.messages)
            self._consumers.labels(state.region).set(state.work.consumers)
        if state.dead is not None:
            self._dead.labels(state.region).set(state.dead.messages)
        self._oldest.labels(state.region).set(state.oldest_age.total_seconds() if state.oldest_age else 0)
        for node in state.nodes:
            self._node_up.labels(state.region, node.node).set(int(node.reachable))
        differing = (state.looked_at - state.differ_since).total_seconds() if state.differ_since else 0
        self._differing.labels(state.region).set(differing)

    def watch_silence(self, silence: Callable[[], timedelta]) -> None:
        """Ask at each scrape how long the API server has been silent."""
        self._watch_age.set_function(lambda: silence().total_seconds())

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
