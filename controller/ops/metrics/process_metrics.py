"""What every process shows of itself, and one object for everything that counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)

from controller.ops.metrics.drain_metrics import DrainMetrics
from controller.ops.metrics.region_metrics import RegionMetrics
from controller.ops.metrics.shutdown_metrics import ShutdownMetrics
from controller.ops.metrics.watch_metrics import WatchMetrics
from controller.ops.port.connections import CutReason

# When each counter began doubles their number, and answers nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]

LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds. 0.05 is what one input may take; a probe waits for 3."""


class Metrics:
    """One process's metrics, for the roles that it runs: the flows' ``Observer``, and the overview's ``Watcher``."""

    def __init__(
        self, *, regions: Collection[str] = (), watch: bool = False, work: Collection[str] = (), ops: bool = False
    ) -> None:
        """``regions`` are those that the settings name: a pod's annotation may ask for any other."""
        self.registry = CollectorRegistry()
        build = Info(
            "eureka_drain_build", "The version of eureka-drain; always 1. From every role.", registry=self.registry
        )
        build.info({"version": _release()})
        self._ready = Gauge(
            "eureka_drain_ready",
            "1 when this check of /readyz passes, else 0. From every role.",
            ["check"],
            registry=self.registry,
        )
        self._connections_cut = Counter(
            "eureka_drain_http_connections_cut",
            "Connections to the HTTP port that were cut because they held too much, or for too long. From every role.",
            ["reason"],
            registry=self.registry,
        )
        for reason in CutReason:
            self._connections_cut.labels(reason.value)
        self.loop_lag = Histogram(
            "eureka_drain_loop_lag_seconds",
            "By how much the event loop was late, looked at four times a second: how long something kept everything "
            "else from its turn. From every role.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        ).observe
        drains = DrainMetrics(self.registry if watch or work else None, known={*regions, *work}, work=work)
        watched = WatchMetrics(self.registry if watch else None)
        self.recorded, self.retried = drains.recorded, drains.retried
        self.published, self.tracked, self.watch_silence = watched.published, watched.tracked, watched.silence
        self.pods_too_large = watched.too_large
        regions_seen = RegionMetrics(self.registry if ops else None)
        self.surveyed, self.unrouted = regions_seen.surveyed, regions_seen.unrouted
        self.swept, self.sweep_dropped = regions_seen.swept, regions_seen.sweep_dropped
        self.shut_down = ShutdownMetrics(self.registry if ops else None).shut_down

    def readiness(self, checks: Mapping[str, Callable[[], bool]]) -> None:
        """Make these checks at each scrape."""
        for name, check in checks.items():
            self._ready.labels(name).set_function(check)

    def connection_cut(self, reason: CutReason) -> None:
        """Count a connection that was cut."""
        self._connections_cut.labels(reason.value).inc()

    def exposition(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)


def _release() -> str:
    try:
        return version("eureka-drain")
    except PackageNotFoundError:  # run from its source
        return "unknown"
