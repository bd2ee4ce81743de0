"""Queues, dead letters and nodes of every region, as ``ops`` sees them; each of its replicas sees the same."""

from __future__ import annotations

import math
from datetime import timedelta

from prometheus_client import CollectorRegistry, Gauge

from controller.domain.region_state import QueueState, RegionState
from controller.domain.sweep_report import SweepReport


class RegionMetrics:
    """Shows the newest state of each region. Without a registry, nobody sees it."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        region = ["region"]
        self._waiting = Gauge(
            "eureka_drain_queue_messages",
            "Commands that wait in the region's queue; not those that a worker has taken. From ops.",
            region,
            registry=registry,
        )
        self._consumers = Gauge(
            "eureka_drain_queue_consumers",
            "Workers that consume the region's queue. From ops.",
            region,
            registry=registry,
        )
        self._dead = Gauge(
            "eureka_drain_dead_letters",
            "Dead letters of the region; not those that somebody is just looking at. From ops.",
            region,
            registry=registry,
        )
        self._oldest = Gauge(
            "eureka_drain_oldest_unfinished_seconds",
            "For how long the region's oldest drain has waited for its outcome, since the pod began to go or since a "
            "person asked; 0: none waits. From ops.",
            region,
            registry=registry,
        )
        self._reachable = Gauge(
            "eureka_drain_node_reachable",
            "1 when the Eureka node gives a usable answer, else 0. From ops.",
            ["region", "node"],
            registry=registry,
        )
        self._unrouted = Gauge(
            "eureka_drain_unrouted_messages",
            "Messages for regions that nobody has declared, or whose queue is missing; they wait for a day at most, "
            "and 10,000 at most. From ops.",
            registry=registry,
        )
        self._differing = Gauge(
            "eureka_drain_nodes_differ_seconds",
            "For how long the region's nodes have shown different registries; below 90 s it is caches; 0: they agree. "
            "From ops.",
            region,
            registry=registry,
        )

        of_sweep = ["cluster", "region"]
        self._silent = Gauge(
            "eureka_drain_sweep_silent",
            "Instances without a living pod and without a heartbeat that the newest sweep has only named; 0 after one "
            "that drains them (sweep.policy: drain). From ops.",
            of_sweep,
            registry=registry,
        )
        self._doubtful = Gauge(
            "eureka_drain_sweep_doubtful",
            "Instances without a living pod that the newest sweep left alone, since something speaks for them. "
            "From ops.",
            of_sweep,
            registry=registry,
        )
        self._swept_at = Gauge(
            "eureka_drain_sweep_timestamp_seconds",
            "When the newest sweep that came to its end looked, in seconds since 1970. From ops.",
            of_sweep,
            registry=registry,
        )

    def surveyed(self, state: RegionState) -> None:
        """Show a region's newest state; what could not be counted is not shown."""
        _show(self._waiting, state.region, state.work.messages if state.work else None)
        _show(self._consumers, state.region, state.work.consumers if state.work else None)
        _show(self._dead, state.region, state.dead.messages if state.dead else None)
        self._oldest.labels(state.region).set(_seconds(state.oldest_age))
        for node in state.nodes:
            self._reachable.labels(state.region, node.node).set(int(node.reachable))
        differing = state.looked_at - state.differ_since if state.differ_since else None
        self._differing.labels(state.region).set(_seconds(differing))

    def swept(self, report: SweepReport) -> None:
        """Show what the newest sweep came to; no numbers where nothing can be concluded."""
        place = (report.cluster, report.region)
        if report.incomplete:
            for gauge in (self._silent, self._doubtful):
                gauge.remove(*place)
            return
        self._silent.labels(*place).set(0 if report.drained else report.silent)
        self._doubtful.labels(*place).set(report.doubtful)
        self._swept_at.labels(*place).set(report.at.timestamp())

    def sweep_dropped(self, report: SweepReport) -> None:
        """Show nothing of this cluster and region any more."""
        for gauge in (self._silent, self._doubtful, self._swept_at):
            gauge.remove(report.cluster, report.region)

    def unrouted(self, queue: QueueState | None) -> None:
        """Show what waits for nobody; no number while it cannot be counted."""
        self._unrouted.set(queue.messages if queue is not None else math.nan)


def _show(gauge: Gauge, region: str, number: int | None) -> None:
    if number is None:
        gauge.remove(region)
    else:
        gauge.labels(region).set(number)


def _seconds(duration: timedelta | None) -> float:
    return duration.total_seconds() if duration is not None else 0.0
