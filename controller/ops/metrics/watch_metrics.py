"""What a watch holds, and what it has not sent yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.domain.causes import Cause


class WatchMetrics:
    """Counts commands, and shows the tracker. Without a registry, nobody sees it."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._published = Counter(
            "eureka_drain_commands_published",
            "Drain commands that the broker has confirmed, by cause; each replica sends its own. From watch.",
            ["cause"],
            registry=registry,
        )
        self._pods = Gauge("eureka_drain_watched_pods", "Pods that the watch holds. From watch.", registry=registry)
        self._backlog = Gauge(
            "eureka_drain_publish_backlog",
            "Pods whose commands the broker has not confirmed yet. From watch.",
            registry=registry,
        )
        self._silence = Gauge(
            "eureka_drain_watch_silent_seconds",
            "For how long the API server has not answered; where namespaces are watched one by one, the longest. "
            "From watch.",
            registry=registry,
        )
        self._too_large = Gauge(
            "eureka_drain_pods_too_large",
            "Pods that are too large to be read, and so are not drained. From watch.",
            registry=registry,
        )
        for cause in Cause:
            self._published.labels(cause.value)

    def published(self, cause: Cause) -> None:
        """Count a confirmed command."""
        self._published.labels(cause.value).inc()

    def tracked(self, pods: int, backlog: int) -> None:
        """Show what the watch holds."""
        self._pods.set(pods)
        self._backlog.set(backlog)

    def too_large(self, count: Callable[[], int]) -> None:
        """Ask at each scrape."""
        self._too_large.set_function(count)

    def silence(self, silence: Callable[[], timedelta]) -> None:
        """Ask at each scrape."""
        self._silence.set_function(lambda: silence().total_seconds())
