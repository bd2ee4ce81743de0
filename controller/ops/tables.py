"""Tables for a terminal or a pipe: plain text, one line an item. Names are whole in a pipe, and cut in a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from controller.domain.dead_messages import DeadMessage
from controller.domain.diagnostics import Check, Severity
from controller.domain.drain_record import DrainRecord
from controller.domain.orphans import Orphan
from controller.domain.printable import printable
from controller.domain.replay_plan import ReplayAction, ReplayItem
from controller.domain.shutdown.verdict import ShutdownVerdict, safe_after, shutdown_of
from controller.domain.timeline import Moment
from controller.domain.topology_state import TopologyPart

GAP = "  "
MIN_CELL_WIDTH = 8
"""Columns of a cell that is cut."""
MAX_FOREIGN_ID_LENGTH = 64
MAX_FOREIGN_ID_ON_TERMINAL = 18
"""Columns of a message id that is not ours."""
MIN_TEXT_WIDTH = 40
"""Columns of a text that is folded."""


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    whole: Collection[str] = (),
) -> str:
    """Align columns. Control characters that a server or a pod wrote are replaced.

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


def duration_text(length: timedelta | None) -> str:
    """Write a duration for people: two figures are enough.

    >>> [duration_text(timedelta(seconds=one)) for one in (0.012, 3.21, 45, 330, 7_500, 200_000)]
    ['12 ms', '3.2 s', '45 s', '5 min 30 s', '2 h 5 min', '2 d 7 h']
    """
    if length is None:
        return "-"
    seconds = length.total_seconds()
    if 0 < seconds < 0.9995:
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
    """Write a time in UTC as the logs have it."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at else "-"


def short_moment(at: datetime | None, now: datetime) -> str:
    """Write a time in UTC, without the date when that is today's."""
    if at is None:
        return "-"
    return at.strftime("%H:%M:%SZ" if at.date() == now.date() else "%m-%d %H:%MZ")


MIN_TERMINAL_WIDTHS = {"APP": 140, "REGION": 130, "OUT AFTER": 120, "SHUTDOWN": 100}
"""By column: how wide a terminal has to be to show it."""


def drains_table(records: Iterable[DrainRecord], now: datetime, *, width: int | None, head: bool = True) -> str:
    """Return a table of drains, the newest last: there a terminal ends."""
    rows = [_drain_row(record, now, width) for record in records]
    text = rows_table(rows, MIN_TERMINAL_WIDTHS, width=width, whole=("WHEN", "STATE", "SHUTDOWN", "DRAIN"))
    return text if head else text.partition("\n")[2]


def rows_table(
    rows: Sequence[Mapping[str, str]],
    columns: Mapping[str, int] = MappingProxyType({}),
    *,
    width: int | None,
    whole: Collection[str] = (),
) -> str:
    """Return a table of rows by their columns' names; empty without rows.

    A terminal that is narrower than ``columns`` says for a name lacks that column.
    """
    if not rows:
        return ""
    names = [name for name in rows[0] if width is None or width >= columns.get(name, 0)]
    return table(names, [[row[name] for name in names] for row in rows], width=width, whole=whole)


def _drain_row(record: DrainRecord, now: datetime, width: int | None) -> dict[str, str]:
    at = record.since_at or record.began_at
    return {
        "WHEN": moment_of(at) if width is None else short_moment(at, now),
        "STATE": record.state.value,
        "POD": record.key,
        "APP": ",".join(record.apps) or "-",
        "REGION": record.region or "-",
        "OUT AFTER": duration_text(record.took),
        "SHUTDOWN": shutdown_text(record, now, short=width is not None) or "-",
        "WHY": "; ".join(part for part in (str(record.reason or ""), _why_not_graceful(record, width)) if part) or "-",
        "DRAIN": record.drain_id,
    }


def shutdown_text(record: DrainRecord, now: datetime, *, short: bool = False) -> str:
    """Return whether its pod served long enough, or from when on it may end; empty while neither is known.

    ``short``: for a column of a terminal, where each word counts.
    """
    shutdown = shutdown_of(record)
    if shutdown.verdict is not ShutdownVerdict.pending:
        return f"{shutdown.short_seconds} s short" if short and shutdown.short_by is not None else shutdown.text
    at = safe_after(record, now)
    return f"safe after {short_moment(at, now)}" if at else ""


def _why_not_graceful(record: DrainRecord, width: int | None) -> str:
    """Return why its shutdown was not graceful, with the verdict where no column has that; empty for any other."""
    shutdown = shutdown_of(record)
    if shutdown.verdict is not ShutdownVerdict.not_graceful:
        return ""
    if width is None or width >= MIN_TERMINAL_WIDTHS["SHUTDOWN"]:
        return shutdown.reason
    text = shutdown.text if shutdown.short_by is None else f"{shutdown.short_seconds} s short"
    return ": ".join(part for part in (text, shutdown.reason) if part)


def _shutdown_line(record: DrainRecord, now: datetime) -> str:
    text, why = shutdown_text(record, now), shutdown_of(record).reason
    workload = f" ({record.end.kind.lower()} {record.end.workload})" if record.end else ""
    return f"{text}{f': {why}' if why else ''}{workload}" if text else ""


def drain_text(record: DrainRecord, moments: Sequence[Moment], now: datetime, *, width: int | None) -> str:
    """Return one drain with its timeline."""
    facts = [
        ("drain", record.drain_id),
        ("state", f"{record.state.value}{f': {record.reason}' if record.reason else ''}"),
        ("pod", f"{record.key} (uid {record.uid}, ip {record.ip or 'unknown'}, cluster {record.cluster})"),
        ("region", record.region or "-"),
        ("shutdown", _shutdown_line(record, now)),
        *(("instance", f"{part.app} {part.id}: {part.outcome.value}") for part in record.parts.values() if part.id),
    ]
    if record.requested_by:
        why = f": {record.requested_why}" if record.requested_why else ""
        facts.append(("requested", f"by {record.requested_by} at {moment_of(record.requested_at)}{why}"))
    head = "".join(f"{name + ':':<10} {printable(text)}\n" for name, text in facts if text)
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


def plan_order(items: Iterable[ReplayItem]) -> list[ReplayItem]:
    """Sort the drains of a plan: those that would be drained come first."""
    actions = list(ReplayAction)
    return sorted(items, key=lambda item: (actions.index(item.decision.action), item.region, item.pod))


def plan_table(items: Iterable[ReplayItem], *, width: int | None) -> str:
    """Return what a replay would do."""
    rows = [
        {
            "ACTION": item.decision.action.value,
            "POD": item.pod,
            "APP": ",".join(item.apps) or "-",
            "REGION": item.region,
            "WHY": item.decision.reason or "-",
            "DRAIN": item.drain_id,
        }
        for item in plan_order(items)
    ]
    return rows_table(rows, width=width, whole=("ACTION", "DRAIN"))


def dead_letters_table(messages: Iterable[DeadMessage], *, width: int | None) -> str:
    """Return a table of dead letters, the newest last."""
    longest = MAX_FOREIGN_ID_LENGTH if width is None else MAX_FOREIGN_ID_ON_TERMINAL
    rows = [
        {
            "REGION": message.region,
            "GIVEN UP": moment_of(message.died_at),
            "WHAT": message.kind,
            "POD": message.item.pod.key if message.item else "-",
            "WHY": message.reason + (f" ({message.problem})" if message.problem not in ("", message.reason) else ""),
            "DRAIN": message.drain_id or _cut(message.message_id or "-", longest),
        }
        for message in sorted(messages, key=lambda one: one.died_at.timestamp() if one.died_at else 0.0)
    ]
    return rows_table(rows, width=width, whole=("GIVEN UP", "WHAT", "DRAIN"))


def dead_letters_counted(messages: Sequence[DeadMessage]) -> str:
    """Count them: ``3 dead letters of 2 drains: 3 eu``; a drain may have several, with its restores."""
    drains = {message.drain_id for message in messages if message.drain_id}
    of = f" of {len(drains)} drain{'s' * (len(drains) != 1)}" if drains else ""
    what = f"{len(messages)} dead letter{'s' * (len(messages) != 1)}"
    return f"{what}{of}: {counted(message.region for message in messages)}"


def counted(names: Iterable[str]) -> str:
    """Count each, the most frequent first: ``12 would drain, 3 already gone``."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common()) or "none"


def topology_table(parts: Iterable[TopologyPart], *, width: int | None) -> str:
    """Return a table of what is on the broker, and of what is missing there."""
    rows = [
        {
            "KIND": part.kind.value,
            "NAME": part.name,
            "STATE": part.state.value,
            "MESSAGES": "-" if part.messages is None else str(part.messages),
            "DETAIL": part.detail or "-",
        }
        for part in parts
    ]
    return rows_table(rows, width=width, whole=("KIND", "STATE", "MESSAGES"))


def checks_text(checks: Iterable[Check], *, width: int | None) -> str:
    """Return a line for each check, and below it the fix of what is not in order. Long lines are folded, not cut."""
    text = ""
    for check in checks:
        found = f": {check.found}" if check.found else ""
        text += folded(f"{check.severity.value:<8}{check.area}: {check.what}{found}", width, indent=11)
        if check.fix and check.severity in (Severity.wrong, Severity.advice):
            text += folded(f"{'':8}-> {check.fix}", width, indent=11)
    return text


def folded(text: str, width: int | None, *, indent: int) -> str:
    """Return a line, folded where a terminal ends."""
    text = printable(text)
    if width is None:
        return f"{text}\n"
    lines = textwrap.wrap(text, max(width, MIN_TEXT_WIDTH), subsequent_indent=" " * indent, break_on_hyphens=False)
    return "".join(f"{line}\n" for line in lines) or "\n"


def orphans_table(findings: Iterable[Orphan], *, width: int | None = None) -> str:
    """Return what a sweep found, the certain ones first; empty when it found nothing."""
    ordered = sorted(
        findings,
        key=lambda one: (bool(one.doubt), one.suspect.region, one.suspect.instance.app, one.suspect.instance.id),
    )
    rows = [
        {
            "REGION": finding.suspect.region,
            "APP": finding.suspect.instance.app,
            "INSTANCE": finding.suspect.instance.id,
            "ADDRESS": finding.suspect.instance.ip or "-",
            "STATUS": finding.suspect.instance.status,
            "VERDICT": finding.doubt or "no living pod, silent",
            "EVIDENCE": finding.suspect.evidence,
        }
        for finding in ordered
    ]
    return rows_table(rows, width=width)
