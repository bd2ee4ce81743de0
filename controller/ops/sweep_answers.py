"""What programs are answered about passes of the sweep: see ``answers``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from controller.domain.sweep_report import SweepFinding, SweepReport
from controller.ops.answers import JsonAnswer, fill


class SweepFindingAnswer(JsonAnswer):
    """An instance that no living pod stands behind."""

    app: str
    instance_id: str
    ip: str
    status: str
    namespace: str
    pod: str
    evidence: Annotated[str, Meta(description="Why it belonged to this cluster's pods.")]
    doubt: Annotated[str, Meta(description="Why it is left alone; empty where nothing speaks for it.")]


class SweepAnswer(JsonAnswer):
    """The newest pass over one region."""

    cluster: str
    region: str
    at: Annotated[datetime, Meta(description="When it looked for the last time.")]
    silent: Annotated[int | None, Meta(description="Findings that nothing speaks for.")]
    doubtful: Annotated[int | None, Meta(description="Findings that are left alone.")]
    drained: Annotated[bool, Meta(description="Whether the drains of the silent ones were sent.")]
    incomplete: Annotated[str, Meta(description="Why nothing can be concluded about this region.")]
    findings: list[SweepFindingAnswer]
    more: Annotated[int, Meta(description="How many more there are.")]


class SweepsAnswer(JsonAnswer):
    """The newest pass of each cluster over each region."""

    sweeps: list[SweepAnswer]


def sweep_answer(report: SweepReport) -> SweepAnswer:
    """Describe one pass; no numbers where nothing can be concluded."""
    return fill(
        SweepAnswer,
        report,
        silent=None if report.incomplete else report.silent,
        doubtful=None if report.incomplete else report.doubtful,
        findings=[_finding(one) for one in report.findings],
        more=report.left_out,
    )


def _finding(finding: SweepFinding) -> SweepFindingAnswer:
    return fill(SweepFindingAnswer, finding)
