"""The shutdown verdict: did a drained pod serve until no caller used it any more? Pure, from its record.

The events show since when it was out of service at the last node, and until when callers may still have used it; the
watch publishes when its serving containers ended. Readers of both come to the same verdict, whatever their settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.drain_record import DrainRecord
from controller.domain.events import Outcome
from controller.domain.gone import TIME_RESOLUTION

TOLERANCE = TIME_RESOLUTION + timedelta(seconds=1)
"""What may be missing all the same: a hook as long as the window begins with the deletion, and OUT_OF_SERVICE comes a
moment later. In a window's last seconds nobody is called unless all caches are at their oldest at the same time."""
NEVER_TAKEN_OUT = {
    Outcome.not_registered: "not registered, as far as its region shows: no caller was given it",
    Outcome.refused: "its drain was refused",
    Outcome.superseded: "a newer process held its id",
}

WAS_GIVEN_UP = "its drain had been given up; it is not registered by now, and whether it was then is not known"


class ShutdownVerdict(StrEnum):
    """How a pod's shutdown is judged; the values are what programs read."""

    graceful = "graceful"
    not_graceful = "not_graceful"
    pending = "pending"
    """It is still there, or is not known to be out of service yet."""
    not_judged = "not_judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """The verdict on one drain's pod."""

    verdict: ShutdownVerdict
    short_by: timedelta | None = None
    """How much longer it should have served; None where that is not known, or does not apply."""
    reason: str = ""
    """What ended it too early, or why it is not judged."""

    @property
    def short_seconds(self) -> int | None:
        """Return ``short_by`` in whole seconds, rounded up."""
        return None if self.short_by is None else math.ceil(self.short_by.total_seconds())

    @property
    def text(self) -> str:
        """Return it in words: ``not graceful, 94 s short``; empty while it is pending."""
        if self.verdict is ShutdownVerdict.pending:
            return ""
        words = self.verdict.replace("_", " ")
        return words if self.short_by is None else f"{words}, {self.short_seconds} s short"


def shutdown_of(record: DrainRecord) -> Shutdown:
    """Judge it, as far as it can be judged by now."""
    end, state = record.end, record.state
    safe_at = record.safe_at
    if safe_at is None and state is Outcome.not_registered and record.was_given_up:
        return Shutdown(verdict=ShutdownVerdict.not_judged, reason=WAS_GIVEN_UP)
    if safe_at is None and state in NEVER_TAKEN_OUT:
        return Shutdown(verdict=ShutdownVerdict.not_judged, reason=NEVER_TAKEN_OUT[state])
    if end is None:
        return Shutdown(verdict=ShutdownVerdict.pending)
    if end.ended_at is None:
        return Shutdown(verdict=ShutdownVerdict.not_judged, reason=end.why)
    if safe_at is None:
        if state is Outcome.failed:
            return Shutdown(verdict=ShutdownVerdict.not_graceful, reason="it ended while callers were still given it")
        return Shutdown(verdict=ShutdownVerdict.pending)
    missing = safe_at - end.ended_at
    if missing <= TOLERANCE:
        return Shutdown(verdict=ShutdownVerdict.graceful)
    return Shutdown(verdict=ShutdownVerdict.not_graceful, short_by=missing, reason=_why_short(record, missing, end.why))


def _why_short(record: DrainRecord, missing: timedelta, why: str) -> str:
    """Return what made it too short: its end, unless that would have been late enough, had it been out at once."""
    if record.out_at is None or record.since_at is None or missing - (record.out_at - record.since_at) > TOLERANCE:
        return why
    late = math.ceil((record.out_at - record.since_at).total_seconds())
    return f"it was out of service only {late} s after it was asked to go"


def safe_after(record: DrainRecord, now: datetime) -> datetime | None:
    """Return until when the pod has to go on serving, while that lies ahead and the pod is there; else None."""
    waits = record.safe_at is not None and record.safe_at > now
    return record.safe_at if waits and shutdown_of(record).verdict is ShutdownVerdict.pending else None
