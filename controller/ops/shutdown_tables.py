"""How long pods serve after their deletion was requested: a table, and JSON."""

from __future__ import annotations

from controller.domain.shutdown.findings import ShutdownSurvey, WorkloadFinding
from controller.domain.shutdown.window import Window
from controller.ops.answers import JsonAnswer, fill
from controller.ops.shutdown_patches import patch_line
from controller.ops.tables import duration_text, folded, rows_table

MIN_TERMINAL_WIDTHS = {"PODS": 100, "WINDOW": 90, "GRACE": 90}
"""By column: how wide a terminal has to be to show it."""


class WindowAnswer(JsonAnswer):
    """What a window consists of."""

    server_cache_seconds: float
    client_fetch_seconds: float
    load_balancer_seconds: float


class NeedsAnswer(JsonAnswer):
    """What a workload has to be set to."""

    sleep_seconds: int
    grace_seconds: int


class FindingAnswer(JsonAnswer):
    """How long one workload's pods serve after their deletion was requested."""

    namespace: str
    kind: str
    name: str
    app: str
    verdict: str
    why: str
    pods: int
    containers: list[str]
    serves_seconds: int | None
    window_seconds: float | None
    window: WindowAnswer | None
    grace_seconds: int | None
    short_by_seconds: int
    advice: list[str]
    needs: NeedsAnswer | None
    patch: str | None
    by_hand: str | None


def survey_text(survey: ShutdownSurvey, *, width: int | None) -> str:
    """Return the table, the advice on its workloads, and the windows that they were compared with."""
    parts = [survey_table(survey, width=width)]
    advice = [(finding.workload.kubectl_name, text) for finding in survey.findings for text in finding.advice]
    parts.append("".join(folded(f"{name}: {text}", width, indent=2) for name, text in advice))
    parts.append(
        "".join(folded(text, width, indent=2) for text in [*window_texts(survey), *survey.notes, *survey.doubts])
    )
    return "\n".join(part for part in parts if part)


def survey_table(survey: ShutdownSurvey, *, width: int | None) -> str:
    """Return one line for each workload; empty without any."""
    whole = ("VERDICT", "PODS", "SERVES", "WINDOW", "GRACE")
    return rows_table([_row(finding) for finding in survey.findings], MIN_TERMINAL_WIDTHS, width=width, whole=whole)


def _row(finding: WorkloadFinding) -> dict[str, str]:
    window = finding.window
    return {
        "VERDICT": finding.verdict_text,
        "WORKLOAD": finding.workload.kubectl_name,
        "PODS": str(finding.pods),
        "SERVES": "-" if finding.serves_seconds is None else f"{finding.serves_seconds} s",
        "WINDOW": "-" if window is None else f"{window.whole_seconds} s",
        "GRACE": "-" if finding.grace_seconds is None else f"{finding.grace_seconds} s",
        "WHY": finding.why,
    }


def window_texts(survey: ShutdownSurvey) -> list[str]:
    """Explain what the windows consist of, and what is not in them."""
    own = {
        finding.app if finding.window.annotated is None else finding.workload.kubectl_name: finding.window
        for finding in survey.findings
        if finding.window is not None and finding.window != survey.usual
    }
    usual = f"window: {_sum(survey.usual)}; the request in flight comes on top"
    return [usual, *(f"window of {app}: {_sum(window)}" for app, window in sorted(own.items()))]


def _sum(window: Window) -> str:
    if window.annotated is not None:
        return f"{window.whole_seconds} s, as its annotation eureka.drain/window says"
    parts = (
        ("server cache", window.server_cache),
        ("client fetch", window.client_fetch),
        ("load balancer", window.load_balancer),
    )
    return f"{' + '.join(f'{name} {duration_text(length)}' for name, length in parts)} = {window.whole_seconds} s"


def finding_answer(finding: WorkloadFinding) -> FindingAnswer:
    """Describe one workload."""
    window, fix = finding.window, finding.fix
    return fill(
        FindingAnswer,
        finding,
        namespace=finding.workload.namespace,
        kind=finding.workload.kind,
        name=finding.workload.name,
        verdict=finding.verdict.name,
        window_seconds=window.length.total_seconds() if window else None,
        window=WindowAnswer(
            server_cache_seconds=window.server_cache.total_seconds(),
            client_fetch_seconds=window.client_fetch.total_seconds(),
            load_balancer_seconds=window.load_balancer.total_seconds(),
        )
        if window
        else None,
        needs=fix,
        patch=patch_line(finding.workload, fix.patch) if fix and fix.patch else None,
        by_hand=(fix.by_hand or None) if fix else None,
    )
