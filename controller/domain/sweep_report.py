"""What a pass of the sweep came to, as the event log keeps it: the newest one of each region is what operators see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import islice
from typing import Protocol

from controller.domain.bounded_map import BoundedMap

MAX_FINDINGS = 200
"""Findings of one region that a report names; its counts are of all."""
MAX_CHARACTERS = 40_000
"""Of these together, so that a report is never too large for a message, whatever people register."""
MAX_REPORTS = 200
"""Clusters times regions; one takes 100 kB at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFinding:
    """An instance that no living pod stands behind."""

    app: str
    instance_id: str
    ip: str
    status: str = ""
    namespace: str = ""
    pod: str = ""
    evidence: str = ""
    """Why it belonged to this cluster's pods."""
    doubt: str = ""
    """Why it is left alone; empty where nothing speaks for it."""

    @property
    def characters(self) -> int:
        """How much room it takes in a report."""
        return sum(len(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """One pass over one region."""

    cluster: str
    region: str
    at: datetime
    """When it looked for the last time."""
    silent: int = 0
    """Findings that nothing speaks for."""
    doubtful: int = 0
    """Findings that are left alone."""
    drained: bool = False
    """Whether the drains of the silent ones were sent; else they were only named."""
    incomplete: str = ""
    """Why nothing can be concluded about this region."""
    findings: tuple[SweepFinding, ...] = ()

    @property
    def left_out(self) -> int:
        """How many findings are counted, and not named."""
        return max(0, self.silent + self.doubtful - len(self.findings))


def named(findings: Iterable[SweepFinding]) -> tuple[SweepFinding, ...]:
    """Return the first ones, as many as a report has room for."""
    chosen, left = [], MAX_CHARACTERS
    for finding in islice(findings, MAX_FINDINGS):
        left -= finding.characters
        if left < 0:
            break
        chosen.append(finding)
    return tuple(chosen)


class SweepWatcher(Protocol):
    """Whoever shows passes of the sweep as metrics."""

    def swept(self, report: SweepReport) -> None:
        """Take a region's newest pass."""
        ...

    def sweep_dropped(self, report: SweepReport) -> None:
        """Take it that there are too many, and this one is not kept."""
        ...


class LatestSweeps:
    """The newest report of each cluster and region."""

    def __init__(self, watcher: SweepWatcher | None = None) -> None:
        """``watcher`` is told of each that is newer than the one before, and of what is dropped for it."""
        self._watcher = watcher
        self._reports: BoundedMap[tuple[str, str], SweepReport] = BoundedMap(MAX_REPORTS)

    def apply(self, report: SweepReport) -> None:
        """Take the next report of the log, in whichever order they come."""
        key = (report.region, report.cluster)
        known = self._reports.get(key)
        if known is not None and known.at >= report.at:
            return
        # Whoever wrote it may not have kept to the bound.
        dropped = self._reports.put(key, replace(report, findings=named(report.findings)))
        if self._watcher is not None:
            self._watcher.swept(report)
            for one in dropped:
                self._watcher.sweep_dropped(one)

    def all(self) -> list[SweepReport]:
        """Return them by region and cluster."""
        return [self._reports[key] for key in sorted(self._reports)]
