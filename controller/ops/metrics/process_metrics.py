"""What every process tells of itself, and one object for all who have something to be counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Gauge, Info, disable_created_metrics, generate_latest

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event
from controller.domain.region_state import RegionState
from controller.domain.shutdown.verdict import Shutdown
from controller.ops.metrics.drain_metrics import DrainMetrics
from controller.ops.metrics.region_metrics import RegionMetrics
from controller.ops.metrics.shutdown_metrics import ShutdownMetrics
from controller.ops.metrics.watch_metrics import WatchMetrics

# When each counter began doubles their number, and answers nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]


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
        self._drains = DrainMetrics(self.registry if watch or work else None, known={*regions, *work}, work=work)
        self._watch = WatchMetrics(self.registry if watch else None)
        self._regions = RegionMetrics(self.registry if ops else None)
        self._leaves = ShutdownMetrics(self.registry if ops else None)

    def readiness(self, checks: Mapping[str, Callable[[], bool]]) -> None:
        """Make these checks at each scrape."""
        for name, check in checks.items():
            self._ready.labels(name).set_function(check)

    def published(self, cause: Cause) -> None:
        """Count a confirmed command."""
        self._watch.published(cause)

    def tracked(self, pods: int, backlog: int) -> None:
        """Show what the watch holds."""
        self._watch.tracked(pods, backlog)

    def watch_silence(self, silence: Callable[[], timedelta]) -> None:
        """Ask at each scrape how long the API server has been silent."""
        self._watch.silence(silence)

    def recorded(self, event: Event) -> None:
        """Count an event, and what it tells."""
        self._drains.recorded(event)

    def retried(self, region: str) -> None:
        """Count a retry."""
        self._drains.retried(region)

    def surveyed(self, state: RegionState) -> None:
        """Show a region's newest state."""
        self._regions.surveyed(state)

    def judged(self, record: DrainRecord, shutdown: Shutdown) -> None:
        """Count how a pod took its leave."""
        self._leaves.judged(record, shutdown)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


def _release() -> str:
    try:
        return version("eureka-drain")
    except PackageNotFoundError:  # run from its source
        return "unknown"
