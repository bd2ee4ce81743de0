"""The metrics as a table, made from what the code registers: ``make docs`` writes it to docs/metrics.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.region_state import NodeState, QueueState, RegionState
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict
from controller.domain.sweep_report import SweepReport
from controller.ops.metrics.process_metrics import Metrics

ROLES: dict[str, dict[str, Any]] = {"watch": {"watch": True}, "work": {"work": ["eu"]}, "ops": {"ops": True}}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
HEAD = """\
# Metrics

Every process serves them at `/metrics` on `http.metrics_port` (`http.port` until it is set), rendered at most once a
second. Which ones depends on its roles (`run` has all). A worker's counters begin at 0 for each outcome and reason of
its regions. Sum what `watch` and `work` count over processes; take the largest of what `ops` shows, since each of its
replicas sees the same. Two replicas of the watch count `requested`, and commands, twice.

The alerts made of them are in [manifests/components/prometheus](../manifests/components/prometheus), what to do about
each in the [runbook](runbook.md), and a Grafana dashboard in
[manifests/components/grafana-dashboard](../manifests/components/grafana-dashboard).

This page is made from the code by `make docs`.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric."""

    name: str
    """As queries name it; a histogram's without its suffixes."""
    type: str
    labels: tuple[str, ...]
    roles: tuple[str, ...]
    help: str

    @property
    def shown_by(self) -> str:
        """Name its roles; its help text ends with them."""
        return " and ".join(self.roles) if len(self.roles) < len(ROLES) else "every role"

    @property
    def series(self) -> tuple[str, ...]:
        """The names that can be queried."""
        return tuple(self.name + suffix for suffix in SUFFIXES.get(self.type, ("",)))


def measures() -> list[Measure]:
    """Return all of them, as processes of each role show them."""
    found: dict[str, Measure] = {}
    for role, runs in ROLES.items():
        for one in _shown(role, Metrics(**runs)):
            roles = (*found[one.name].roles, role) if one.name in found else (role,)
            found[one.name] = Measure(name=one.name, type=one.type, labels=one.labels, roles=roles, help=one.help)
    return sorted(found.values(), key=lambda one: one.name)


def _shown(role: str, metrics: Metrics) -> Iterable[Measure]:
    # What is not there before it has been seen.
    metrics.readiness({"a check": lambda: True})
    counted = QueueState(messages=0, consumers=0)
    nodes = (NodeState(node="http://eureka-0:8761/eureka", reachable=True),)
    now = datetime.now(UTC)
    metrics.surveyed(RegionState(region="eu", looked_at=now, work=counted, dead=counted, nodes=nodes))
    metrics.unrouted(counted)
    metrics.swept(SweepReport(cluster="", region="eu", at=now))
    metrics.shut_down(_a_record(now), Shutdown(verdict=ShutdownVerdict.not_graceful, short_by=timedelta(0)))
    for family in metrics.registry.collect():
        labels = {name: None for sample in family.samples for name in sample.labels if name != "le"}
        ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
        yield Measure(
            name=family.name + ending,
            type="gauge" if family.type == "info" else family.type,
            labels=tuple(labels),
            roles=(role,),
            help=family.documentation,
        )


def _a_record(at: datetime) -> DrainRecord:
    return DrainRecord(
        drain_id="",
        cluster="",
        region="",
        namespace="",
        pod="",
        uid="",
        ip="",
        cause=Cause.terminating,
        began_at=at,
        last_at=at,
    )


def rendered() -> str:
    """Write the whole page."""
    rows = ["| name | type | labels | role | meaning |", "|---|---|---|---|---|"]
    for one in measures():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        meaning = one.help.removesuffix(f" From {one.shown_by}.")
        rows.append(f"| `{one.name}` | {one.type} | {labels} | {one.shown_by} | {meaning} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rendered())
