"""The API's answers as text, for people: the tables of the command line, made here, so that a client needs no own ones.

Whoever wants them names them first: ``Accept: text/plain``, with a terminal's columns ``text/plain; width=120``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import hdrs, web

from controller.domain.dead_messages import DeadMessage
from controller.domain.printable import printable
from controller.domain.replay_plan import GOOD_ENDS, ReplayItem
from controller.flows.replay_runs import ReplayRun
from controller.ops.tables import counted, dead_letters_counted, dead_letters_table, drains_table, plan_table

MIN_WIDTH, MAX_WIDTH = 20, 1_000
"""Columns of a terminal that is believed."""
_PLAIN_TEXT = re.compile(
    r"\s*text/plain(?:\s*;\s*charset=[\w-]+)?(?:\s*;\s*width=(\d{1,4}))?\s*(?:[;,]|$)", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PlainText:
    """Text is wanted. ``width``: the terminal's columns; None where nothing is to be cut."""

    width: int | None


def plain_text_wanted(request: web.Request) -> PlainText | None:
    """Return how text is wanted; None where JSON is."""
    found = _PLAIN_TEXT.match(request.headers.get(hdrs.ACCEPT, ""))
    if found is None:
        return None
    return PlainText(min(max(int(found[1]), MIN_WIDTH), MAX_WIDTH) if found[1] else None)


def with_rest(text: str, more: int, what: str) -> str:
    """Return a table with a line that says how many it lacks."""
    return f"{text}({more} older {what} are left out: choose fewer)\n" if more else text


def dead_text(messages: Sequence[DeadMessage], troubles: Sequence[str], *, width: int | None) -> str:
    """Return the dead letters, how many each region has, and what is wrong with the regions whose cannot be read."""
    counts = f"{dead_letters_counted(messages)}\n" if messages else ""
    return (
        dead_letters_table(messages, width=width) + counts + "".join(f"{printable(trouble)}\n" for trouble in troubles)
    )


def plan_text(items: Sequence[ReplayItem], *, width: int | None) -> str:
    """Return what a replay would do."""
    counts = f"{len(items)} planned: {counted(item.decision.action.value for item in items)}\n" if items else ""
    return plan_table(items, width=width) + counts


def replay_text(run: ReplayRun, now: datetime, *, width: int | None) -> str:
    """Return how far a replay has come: what each drain came to, the bad ones last, and the counts."""
    settled = sorted(run.progress.settled.values(), key=lambda record: record.state in GOOD_ENDS, reverse=True)
    sent = f"{len(run.progress.sent)} of {len(run.to_drain)} sent"
    outcomes = counted(record.state.value for record in settled)
    left = f"; {len(run.progress.open)} without an outcome yet" if run.progress.open else ""
    trouble = f" ({printable(run.trouble)})" if run.trouble else ""
    return f"{drains_table(settled, now, width=width)}{run.state.value}{trouble}: {sent}; outcomes: {outcomes}{left}\n"
