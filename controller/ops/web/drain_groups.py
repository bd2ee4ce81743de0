"""The drains of the first page: what needs attention comes first, then what is under way, then the rest. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from controller.domain.drain_record import STATE_PRECEDENCE, DrainRecord
from controller.domain.events import OPEN, Outcome

MAX_SHOWN = 200
"""Drains of one page; filters show others."""
NOT_DONE = frozenset({Outcome.failed, Outcome.refused})
GROUPS = (
    ("Needs attention", Outcome.failed, NOT_DONE),
    ("Under way", Outcome.requested, OPEN),
    ("Done", Outcome.removed, frozenset(Outcome) - NOT_DONE - OPEN),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainGroup:
    """Drains under one heading, the newest first; ``count`` also counts those that are not shown."""

    title: str
    tone: Outcome
    """The state whose sign and colour stand for the whole group."""
    count: int
    drains: Sequence[DrainRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChip:
    """How many drains are in a state, and where a click leads: to these only, or back to all."""

    state: Outcome
    count: int
    chosen: bool
    href: str


def groups_of(records: Sequence[DrainRecord], limit: int = MAX_SHOWN) -> list[DrainGroup]:
    """Group drains, which are given the oldest first; what exceeds the limit is the least urgent and the oldest."""
    found = []
    for title, tone, states in GROUPS:
        drains = [record for record in reversed(records) if record.state in states]
        if drains:
            found.append(DrainGroup(title=title, tone=tone, count=len(drains), drains=drains[:limit]))
        limit -= min(limit, len(drains))
    return found


def chips_of(counts: Counter[Outcome], given: Mapping[str, Any]) -> list[StateChip]:
    """Make one for each state that is there or chosen, the urgent ones first."""
    chosen = set(given["state"])
    return [
        StateChip(
            state=state,
            count=counts[state],
            chosen=state in chosen,
            href=f"/?{query_of({**given, 'state': [] if state in chosen else [state]})}",
        )
        for state in STATE_PRECEDENCE
        if counts[state] or state in chosen
    ]


def query_of(given: Mapping[str, Any]) -> str:
    """Write the filters as the query of a link."""
    pairs = [(name, one) for name, value in given.items() for one in (value if isinstance(value, list) else [value])]
    return urlencode([(name, value) for name, value in pairs if value])
