"""Tables for a terminal or a pipe: plain text, one line an item. In a pipe names are whole; a terminal cuts them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from controller.domain.checkup import Check, Grade
from controller.domain.leave import Grace, leave_of, safe_after
from controller.domain.replay import Item, Verdict
from controller.domain.story import Story
from controller.domain.sweep import Finding
from controller.domain.timeline import Moment
from controller.rabbit.dead import Letter

GAP = "  "
NARROWEST = 8
"""Columns of a cell that is cut."""
LONGEST_FOREIGN_ID = 24
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
        if widths[widest] <= NARROWEST:
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


def span(length: timedelta | None) -> str:
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


def drains_table(stories: Iterable[Story], now: datetime, *, width: int | None, head: bool = True) -> str:
    """Drains, the newest last: there a terminal ends."""
    left_out = {name for name, least in COLUMNS if width is not None and width < least}
    rows = [_drain_row(story, now, width) for story in stories]
    if not rows:
        return ""
    names = [name for name in rows[0] if name not in left_out]
    cells = [[row[name] for name in names] for row in rows]
    text = table(names, cells, width=width, whole=("WHEN", "STATE", "LEAVE", "DRAIN"))
    return text if head else text.partition("\n")[2]


def _drain_row(story: Story, now: datetime, width: int | None) -> dict[str, str]:
    at = story.since_at or story.began_at
    return {
        "WHEN": moment_of(at) if width is None else short_moment(at, now),
        "STATE": story.state.value,
        "POD": story.key,
        "APP": ",".join(story.apps) or "-",
        "REGION": story.region or "-",
        "OUT AFTER": span(story.took),
        "LEAVE": leave_words(story, now, short=width is not None) or "-",
        "WHY": "; ".join(part for part in (story.reason, _why_left(story, width)) if part) or "-",
        "DRAIN": story.drain_id,
    }


def leave_words(story: Story, now: datetime, *, short: bool = False) -> str:
    """How its pod took its leave, or from when on it may; empty where nothing is to be said.

    ``short``: for a column of a terminal, where each word counts.
    """
    leave = leave_of(story)
    if leave.grace is not Grace.to_come:
        return f"{leave.short_seconds} s short" if short and leave.short_by is not None else leave.told
    at = safe_after(story, now)
    return f"safe after {short_moment(at, now)}" if at else ""


def _why_left(story: Story, width: int | None) -> str:
    """Why its leave was not graceful, with the verdict where no column tells that; empty for any other."""
    leave = leave_of(story)
    if leave.grace is not Grace.not_graceful:
        return ""
    if width is None or width >= LEAVE_COLUMN:
        return leave.why
    told = leave.told if leave.short_by is None else f"{leave.short_seconds} s short"
    return ": ".join(part for part in (told, leave.why) if part)


def _leave_line(story: Story, now: datetime) -> str:
    words, why = leave_words(story, now), leave_of(story).why
    workload = f" ({story.end.kind.lower()} {story.end.workload})" if story.end else ""
    return f"{words}{f': {why}' if why else ''}{workload}" if words else ""


def story_text(story: Story, moments: Sequence[Moment], now: datetime, *, width: int | None) -> str:
    """One drain with its timeline."""
    facts = [
        ("drain", story.drain_id),
        ("state", f"{story.state.value}{f': {story.reason}' if story.reason else ''}"),
        ("pod", f"{story.key} (uid {story.uid}, ip {story.ip or 'unknown'}, cluster {story.cluster})"),
        ("region", story.region or "-"),
        *((("leave", told),) if (told := _leave_line(story, now)) else ()),
        *(("instance", f"{part.app} {part.id}: {part.outcome.value}") for part in story.parts.values() if part.id),
    ]
    if story.requested_by:
        why = f": {story.requested_why}" if story.requested_why else ""
        facts.append(("asked for", f"by {story.requested_by} at {moment_of(story.requested_at)}{why}"))
    head = "".join(f"{name + ':':<10} {printable(text)}\n" for name, text in facts)
    rows = [
        (
            one.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z",
            f"+{span(one.after)}" if one.after is not None else "",
            f"{one.what} (to come)" if one.ahead else one.what,
            one.detail,
        )
        for one in moments
    ]
    left_out = f"({story.left_out} events in the middle are left out)\n" if story.left_out else ""
    timeline = table(("TIME", "AFTER", "WHAT", "DETAIL"), rows, width=width, whole=("TIME", "AFTER", "WHAT"))
    return f"{head}\n{timeline}{left_out}"


def plan_table(items: Iterable[Item], *, width: int | None) -> str:
    """What a replay would do, those that it would drain first."""
    ranks = {verdict: rank for rank, verdict in enumerate(Verdict)}
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


def letters_table(letters: Iterable[Letter], *, width: int | None) -> str:
    """Dead letters, the oldest of each region first."""
    rows = [
        (
            letter.region,
            moment_of(letter.died_at),
            letter.order.pod.key if letter.order else "-",
            letter.reason + (f" ({letter.problem})" if letter.problem and letter.problem != letter.reason else ""),
            letter.order.drain_id if letter.order else _cut(letter.message_id or "-", LONGEST_FOREIGN_ID),
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
        head = f"{check.grade.value:<8}{check.area}: {check.what}{found}"
        lines += _wrapped(printable(head), width)
        if check.mend and check.grade in (Grade.wrong, Grade.advice):
            lines += _wrapped(printable(f"{'':8}-> {check.mend}"), width)
    return "".join(f"{line}\n" for line in lines)


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, 40), subsequent_indent=" " * 11, drop_whitespace=False) or [line]


def findings_table(findings: Iterable[Finding], *, width: int | None = None) -> str:
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
