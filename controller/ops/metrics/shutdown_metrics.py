"""Shutdown verdicts by workload: which services lose requests in a rollout, and why."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from controller.domain.drain_record import DrainRecord
from controller.domain.events import Outcome
from controller.domain.shutdown.pod_end import EndCause
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict
from controller.domain.shutdown.workloads import Workload

MAX_WORKLOADS = 2_000
"""How many have series of their own: whoever may create pods names them."""
OTHER, BARE = "(other)", "(bare)"
"""Names that no workload can have."""


class ShutdownMetrics:
    """Counts verdicts; without a registry they are not exposed."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        # Not by a label `namespace`: that is the scraped pod's own.
        self._shutdowns = Counter(
            "eureka_drain_shutdowns",
            "Drained pods that have ended since this process began, by workload: graceful, not_graceful or not_judged; "
            "and what ended them, or why they are not judged. From ops.",
            ["workload", "verdict", "reason"],
            registry=registry,
        )
        self._short = Counter(
            "eureka_drain_shutdown_short_seconds",
            "How much longer those that were not graceful should have served, added up, by workload. From ops.",
            ["workload"],
            registry=registry,
        )
        self._seen: set[str] = set()

    def shut_down(self, record: DrainRecord, shutdown: Shutdown) -> None:
        """Count one."""
        workload = self._workload(record)
        self._shutdowns.labels(workload, shutdown.verdict.value, _reason(record, shutdown)).inc()
        if shutdown.short_seconds is not None:
            self._short.labels(workload).inc(shutdown.short_seconds)

    def _workload(self, record: DrainRecord) -> str:
        if record.end is None:
            return OTHER
        kind, name = record.end.kind.lower(), record.end.workload
        # A pod without an owner has a name that does not come again.
        workload = str(Workload(record.namespace, kind, name if kind != "pod" else BARE))
        if workload not in self._seen and len(self._seen) >= MAX_WORKLOADS:
            return OTHER
        self._seen.add(workload)
        return workload


def _reason(record: DrainRecord, shutdown: Shutdown) -> str:
    """Return one word of a fixed set."""
    if shutdown.verdict is ShutdownVerdict.graceful:
        return ""
    if record.safe_at is None and record.state is not Outcome.out_of_service:
        return record.state.value
    return (record.end.end_cause if record.end else EndCause.unknown).value
