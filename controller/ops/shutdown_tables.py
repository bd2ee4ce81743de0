"""How long pods stay, for people and for programs: a table, the patches that mend it, and JSON."""

from __future__ import annotations

import json
import shlex
import textwrap
from typing import Any

from controller.domain.shutdown.findings import ShutdownSurvey, WorkloadFinding
from controller.domain.shutdown.window import Window
from controller.domain.shutdown.workloads import Workload
from controller.ops.tables import duration_text, printable, table

COLUMNS = (("PODS", 100), ("WINDOW", 90), ("GRACE", 90))
"""What a terminal narrower than this does without."""
INDENT = "  "
MIN_TEXT_WIDTH = 30
"""Columns of a text that is folded."""


def name_of(workload: Workload) -> str:
    """As a person would say it: ``shop/deployment/orders``."""
    return f"{workload.namespace}/{workload.kind.lower()}/{workload.name}"


def survey_text(looked: ShutdownSurvey, *, width: int | None) -> str:
    """The table, what else is worth knowing of its workloads, and what they were compared with."""
    parts = [survey_table(looked, width=width)]
    advice = [(name_of(finding.workload), text) for finding in looked.findings for text in finding.advice]
    parts.append("".join(_folded(f"{name}: {text}", width) for name, text in advice))
    parts.append("".join(_folded(text, width) for text in [*window_texts(looked), *looked.doubts]))
    return "\n".join(part for part in parts if part)


def survey_table(looked: ShutdownSurvey, *, width: int | None) -> str:
    """One line a workload; empty without any."""
    left_out = {name for name, least in COLUMNS if width is not None and width < least}
    rows = [_row(finding) for finding in looked.findings]
    if not rows:
        return ""
    names = [name for name in rows[0] if name not in left_out]
    whole = ("VERDICT", "PODS", "STAYS", "WINDOW", "GRACE")
    return table(names, [[row[name] for name in names] for row in rows], width=width, whole=whole)


def _row(finding: WorkloadFinding) -> dict[str, str]:
    window = finding.window
    return {
        "VERDICT": _verdict(finding),
        "WORKLOAD": name_of(finding.workload),
        "PODS": str(finding.pods),
        "STAYS": "-" if finding.stays_seconds is None else f"{finding.stays_seconds} s",
        "WINDOW": "-" if window is None else f"{window.whole_seconds} s",
        "GRACE": "-" if finding.grace_seconds is None else f"{finding.grace_seconds} s",
        "WHY": finding.why,
    }


def _verdict(finding: WorkloadFinding) -> str:
    by = f" by {finding.short_by_seconds} s" if finding.short_by_seconds else ""
    return f"{finding.verdict.value}{by}"


def window_texts(looked: ShutdownSurvey) -> list[str]:
    """How the windows come about, and what is not in them."""
    own = {
        finding.app if finding.window.said is None else name_of(finding.workload): finding.window
        for finding in looked.findings
        if finding.window is not None and finding.window != looked.usual
    }
    told = [f"window: {_sum(looked.usual)}; the request in flight comes on top"]
    return [*told, *(f"window of {app}: {_sum(window)}" for app, window in sorted(own.items()))]


def _sum(window: Window) -> str:
    if window.said is not None:
        return f"{window.whole_seconds} s, as its annotation eureka.drain/window says"
    parts = (
        ("server cache", window.server_cache),
        ("client fetch", window.client_fetch),
        ("load balancer", window.load_balancer),
    )
    return f"{' + '.join(f'{name} {duration_text(length)}' for name, length in parts)} = {window.whole_seconds} s"


def _folded(text: str, width: int | None) -> str:
    text = printable(text)
    if width is None:
        return f"{text}\n"
    lines = textwrap.wrap(text, max(width, MIN_TEXT_WIDTH), subsequent_indent=INDENT, break_on_hyphens=False)
    return "".join(f"{line}\n" for line in lines)


def patches_text(looked: ShutdownSurvey) -> str:
    """What mends each workload, fit for a shell: kubectl lines, and comments where a person has to edit."""
    told = []
    for finding in looked.findings:
        found = finding.fix
        if found is None:
            continue
        head = f"# {name_of(finding.workload)}: {_verdict(finding)}"
        if found.patch is None:
            # One line, whatever a name holds: the rest of it must not reach a shell.
            told.append(printable(f"{head}; {found.by_hand}"))
        else:
            told += [printable(head), patch_line(finding.workload, found.patch)]
    return "".join(f"{line}\n" for line in told)


def patch_line(workload: Workload, patch: Any) -> str:
    """A line for a shell, which nothing in the patch or in a name can leave."""
    words = ["kubectl", "patch", workload.kind.lower(), workload.name, "-n", workload.namespace]
    return shlex.join([*words, "--type", "strategic", "-p", json.dumps(patch, separators=(",", ":"))])


def finding_answer(finding: WorkloadFinding) -> dict[str, Any]:
    """One workload as JSON; durations are seconds, null where they do not apply."""
    window, found = finding.window, finding.fix
    return {
        "namespace": finding.workload.namespace,
        "kind": finding.workload.kind,
        "name": finding.workload.name,
        "app": finding.app,
        "verdict": finding.verdict.name,
        "why": finding.why,
        "pods": finding.pods,
        "containers": list(finding.containers),
        "stays_seconds": finding.stays_seconds,
        "window_seconds": window.length.total_seconds() if window else None,
        "window": {
            "server_cache_seconds": window.server_cache.total_seconds(),
            "client_fetch_seconds": window.client_fetch.total_seconds(),
            "load_balancer_seconds": window.load_balancer.total_seconds(),
        }
        if window
        else None,
        "grace_seconds": finding.grace_seconds,
        "short_by_seconds": finding.short_by_seconds,
        "advice": list(finding.advice),
        "needs": {"sleep_seconds": found.sleep_seconds, "grace_seconds": found.grace_seconds} if found else None,
        "patch": patch_line(finding.workload, found.patch) if found and found.patch else None,
        "by_hand": found.by_hand or None if found else None,
    }
