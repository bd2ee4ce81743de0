"""What people and the sweep asked for, as the event log tells it: drains by who asked, when and why. Pure.

A replay's own process knows more of it while it runs (what it left alone, how fast it sends). This is what is left of
it when that process has ended, and of what another one sent.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from controller.domain.drain_record import DrainRecord
from controller.domain.events import OPEN, Outcome
from controller.domain.orphans import REQUESTED_BY as SWEEP
from controller.domain.replay_plan import Requester

ONE_SWEEP = timedelta(minutes=1)
"""A sweep says at each of its drains when it sent that one; so long after its first it is another sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, and the drains whose newest request it is."""

    requester: Requester
    drains: list[DrainRecord] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The same in every process, and after a restart."""
        return request_id(self.requester)

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many have come to which outcome since it was asked for."""
        return Counter(record.state for record in self.drains if record.state not in OPEN)

    @property
    def open(self) -> int:
        """How many have no outcome yet."""
        return sum(record.state in OPEN for record in self.drains)


def request_id(requester: Requester) -> str:
    """Derive the id of what somebody asked for at one time."""
    text = "\0".join((requester.by, requester.at.isoformat(), requester.why))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def requests_of(records: Iterable[DrainRecord]) -> list[Request]:
    """Group drains by what they were asked for last, the newest first; what nobody asked for is left out."""
    asked = [(record.requested_at, record) for record in records if record.requested_at is not None]
    found: dict[Requester, Request] = {}
    sweep: Requester | None = None
    for at, record in sorted(asked, key=lambda one: (one[0], one[1].drain_id)):
        requester = Requester(by=record.requested_by, at=at, why=record.requested_why)
        if requester.by == SWEEP:
            if sweep is None or at - sweep.at >= ONE_SWEEP:
                sweep = requester
            requester = sweep
        found.setdefault(requester, Request(requester=requester)).drains.append(record)
    return sorted(found.values(), key=lambda one: one.requester.at, reverse=True)
