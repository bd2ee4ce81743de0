"""Tables for a terminal or a pipe: plain text, whole names, one line an item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.domain.sweep import Finding


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align columns; what a server or a pod wrote cannot bring control characters into it."""
    lines = [head, *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def findings_table(findings: Iterable[Finding]) -> str:
    """What a sweep found, the certain ones first; empty when it found nothing."""
    ordered = sorted(
        findings,
        key=lambda one: (bool(one.doubt), one.suspect.region, one.suspect.instance.app, one.suspect.instance.id),
    )
    rows = [
        (
            finding.suspect.region,
            finding.suspect.instance.app,
            finding.suspect.instance.id,
            finding.suspect.instance.ip or "-",
            finding.suspect.instance.status,
            finding.doubt or "no living pod, silent",
            finding.suspect.evidence,
        )
        for finding in ordered
    ]
    return table(("REGION", "APP", "INSTANCE", "ADDRESS", "STATUS", "VERDICT", "EVIDENCE"), rows) if rows else ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
