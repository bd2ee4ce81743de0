"""Tables for a terminal or a pipe: plain text, one line an item. In a pipe names are whole; a terminal cuts them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from controller.domain.diagnostics import Check, Severity
from controller.domain.drain_record import DrainRecord
from controller.domain.orphans import Orphan
from controller.domain.replay_plan import ReplayAction, ReplayItem
from controller.domain.shutdown.verdict import ShutdownVerdict, safe_after, shutdown_of
from controller.domain.timeline import Moment
from controller.rabbit.dead_letter_queue import DeadMessage

GAP = "  "
MIN_CELL_WIDTH = 8
"""Columns of a cell that is cut."""
MAX_FOREIGN_ID_LENGTH = 24
"""Columns of a message id that is not ours."""


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    whole: Collection[str] = (),
) -> str:
    """Align columns; what a server or a pod wrote cannot bring control characters into it.

    ``width``: the terminal's columns. The widest cells are cut until a line fits; never those of ``whole``.
    """
    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    may_shrink = [column for column, name in enumerate(head) if name not in whole]
    while width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widest = max(may_shrink, key=lambda column: widths[column])
        if widths[widest] <= MIN_CELL_WIDTH:
            break
        widths[widest] -= 1
    return "".join(
        GAP.join(_cut(cell, size).ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"


def printable(text: str) -> str:
    """The text without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def duration_text(length: timedelta | None) -> str:
    """A duration for people: two figures are enough.

    >>> [span(timedelta(seconds=one)) for one in (0.012, 3.21, 45, 330, 7_500, 200_000)]
    ['12 ms', '3.2 s', '45 s', '5 min 30 s', '2 h 5 min', '2 d 7 h']
    """
    if length is None:
        return "-"
    seconds = length.total_seconds()
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s".replace(".0 s", " s") if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, name, smaller, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def moment_of(at: datetime | None) -> str:
    """A time in UTC, for people: as the logs have it."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at else "-"


def short_moment(at: datetime | None, now: datetime) -> str:
    """A time in UTC, without the date when it is today's."""
    if at is None:
        return "-"
    return at.strftime("%H:%M:%SZ" if at.date() == now.date() else "%m-%d %H:%MZ")


COLUMNS = (("APP", 140), ("REGION", 130), ("OUT AFTER", 120), ("LEAVE", 100))
"""What a terminal narrower than this does without."""
LEAVE_COLUMN = dict(COLUMNS)["LEAVE"]


def drains_table(records: Iterable[DrainRecord], now: datetime, *, width: int | None, head: bool = True) -> str:
    """Drains, the newest last: there a terminal ends."""
    left_out = {name for name, least in COLUMNS if width is not None and width < least}
    rows = [_drain_row(record, now, width) for record in records]
    if not rows:
        return ""
    names = [name for name in rows[0] if name not in left_out]
    cells = [[row[name] for name in names] for row in rows]
    text = table(names, cells, width=width, whole=("WHEN", "STATE", "LEAVE", "DRAIN"))
    return text if head else text.partition("\n")[2]


def _drain_row(record: DrainRecord, now: datetime, width: int | None) -> dict[str, str]:
    at = record.since_at or record.began_at
    return {
        "WHEN": moment_of(at) if width is None else short_moment(at, now),
        "STATE": record.state.value,
        "POD": record.key,
        "APP": ",".join(record.apps) or "-",
        "REGION": record.region or "-",
        "OUT AFTER": duration_text(record.took),
        "LEAVE": shutdown_words(record, now, short=width is not None) or "-",
        "WHY": "; ".join(part for part in (record.reason, _why_left(record, width)) if part) or "-",
        "DRAIN": record.drain_id,
    }


def shutdown_words(record: DrainRecord, now: datetime, *, short: bool = False) -> str:
    """How its pod took its leave, or from when on it may; empty where nothing is to be said.

    ``short``: for a column of a terminal, where each word counts.
    """
    shutdown = shutdown_of(record)
    if shutdown.grace is not ShutdownVerdict.to_come:
        return f"{shutdown.short_seconds} s short" if short and shutdown.short_by is not None else shutdown.told
    at = safe_after(record, now)
    return f"safe after {short_moment(at, now)}" if at else ""


def _why_left(record: DrainRecord, width: int | None) -> str:
    """Why its leave was not graceful, with the verdict where no column tells that; empty for any other."""
    shutdown = shutdown_of(record)
    if shutdown.grace is not ShutdownVerdict.not_graceful:
        return ""
    if width is None or width >= LEAVE_COLUMN:
        return shutdown.why
    told = shutdown.told if shutdown.short_by is None else f"{shutdown.short_seconds} s short"
    return ": ".join(part for part in (told, shutdown.why) if part)


def _leave_line(record: DrainRecord, now: datetime) -> str:
    words, why = shutdown_words(record, now), shutdown_of(record).why
    workload = f" ({record.end.kind.lower()} {record.end.workload})" if record.end else ""
    return f"{words}{f': {why}' if why else ''}{workload}" if words else ""


def story_text(record: DrainRecord, moments: Sequence[Moment], now: datetime, *, width: int | None) -> str:
    """One drain with its timeline."""
    facts = [
        ("drain", record.drain_id),
        ("state", f"{record.state.value}{f': {record.reason}' if record.reason else ''}"),
        ("pod", f"{record.key} (uid {record.uid}, ip {record.ip or 'unknown'}, cluster {record.cluster})"),
        ("region", record.region or "-"),
        *((("leave", told),) if (told := _leave_line(record, now)) else ()),
        *(("instance", f"{part.app} {part.id}: {part.outcome.value}") for part in record.parts.values() if part.id),
    ]
    if record.requested_by:
        why = f": {record.requested_why}" if record.requested_why else ""
        facts.append(("asked for", f"by {record.requested_by} at {moment_of(record.requested_at)}{why}"))
    head = "".join(f"{name + ':':<10} {printable(text)}\n" for name, text in facts)
    rows = [
        (
            one.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z",
            f"+{duration_text(one.after)}" if one.after is not None else "",
            f"{one.what} (to come)" if one.ahead else one.what,
            one.detail,
        )
        for one in moments
    ]
    left_out = f"({record.left_out} events in the middle are left out)\n" if record.left_out else ""
    timeline = table(("TIME", "AFTER", "WHAT", "DETAIL"), rows, width=width, whole=("TIME", "AFTER", "WHAT"))
    return f"{head}\n{timeline}{left_out}"


def plan_table(items: Iterable[ReplayItem], *, width: int | None) -> str:
    """What a replay would do, those that it would drain first."""
    ranks = {verdict: rank for rank, verdict in enumerate(ReplayAction)}
    ordered = sorted(items, key=lambda item: (ranks[item.judged.verdict], item.region, item.pod))
    rows = [
        (
            item.judged.verdict.value,
            item.pod,
            ",".join(item.apps) or "-",
            item.region,
            item.judged.reason or "-",
            item.drain_id,
        )
        for item in ordered
    ]
    return table(("VERDICT", "POD", "APP", "REGION", "WHY", "DRAIN"), rows, width=width, whole=("VERDICT", "DRAIN"))


def dead_letters_table(letters: Iterable[DeadMessage], *, width: int | None) -> str:
    """Dead letters, the oldest of each region first."""
    rows = [
        (
            letter.region,
            moment_of(letter.died_at),
            letter.item.pod.key if letter.item else "-",
            letter.reason + (f" ({letter.problem})" if letter.problem and letter.problem != letter.reason else ""),
            letter.item.drain_id if letter.item else _cut(letter.message_id or "-", MAX_FOREIGN_ID_LENGTH),
        )
        for letter in letters
    ]
    return table(("REGION", "DIED", "POD", "WHY", "DRAIN"), rows, width=width, whole=("DIED", "DRAIN"))


def counted(names: Iterable[str]) -> str:
    """How many of each, the most frequent first: ``12 would drain, 3 already gone``."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common()) or "none"


def checks_text(checks: Iterable[Check], *, width: int | None) -> str:
    """What doctor saw, a line each, and below it how to mend what is not in order. Long lines are wrapped, not cut."""
    lines: list[str] = []
    for check in checks:
        found = f": {check.found}" if check.found else ""
        head = f"{check.severity.value:<8}{check.area}: {check.what}{found}"
        lines += _wrapped(printable(head), width)
        if check.fix and check.severity in (Severity.wrong, Severity.advice):
            lines += _wrapped(printable(f"{'':8}-> {check.fix}"), width)
    return "".join(f"{line}\n" for line in lines)


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, 40), subsequent_indent=" " * 11, drop_whitespace=False) or [line]


def findings_table(findings: Iterable[Orphan], *, width: int | None = None) -> str:
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
    head = ("REGION", "APP", "INSTANCE", "ADDRESS", "STATUS", "VERDICT", "EVIDENCE")
    return table(head, rows, width=width) if rows else ""
