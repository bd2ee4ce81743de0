"""How a drained pod took its leave: did it serve until no caller used it any more? Pure, from its story.

The events tell since when it was out of service at the last node, and until when callers may still have used it; the
watch tells when its serving containers ended. Readers of both come to the same verdict, whatever their own settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.drain_record import DrainRecord
from controller.domain.events import Outcome
from controller.domain.shutdown.pod_end import TIME_RESOLUTION

TOLERANCE = TIME_RESOLUTION + timedelta(seconds=1)
"""What may be missing all the same: a hook as long as the window begins with the deletion, and OUT_OF_SERVICE comes a
moment later. In a window's last seconds nobody is called unless all caches are at their oldest at the same time."""
NEVER_TAKEN_OUT = {
    Outcome.not_registered: "not registered, as far as its region tells: nobody was given it to call",
    Outcome.refused: "its drain was refused",
    Outcome.superseded: "a newer process held its id",
}


class ShutdownVerdict(StrEnum):
    """What is said of a pod's end."""

    graceful = "graceful"
    not_graceful = "not graceful"
    to_come = "to come"
    """It is still there, or is not known to be out of service yet."""
    unjudged = "not judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """The verdict on one drain's pod."""

    grace: ShutdownVerdict
    short_by: timedelta | None = None
    """How much longer it should have served; None where that is not known, or does not apply."""
    why: str = ""

    @property
    def short_seconds(self) -> int | None:
        """The same in whole seconds, rounded up."""
        return None if self.short_by is None else math.ceil(self.short_by.total_seconds())

    @property
    def told(self) -> str:
        """In words: ``not graceful, 94 s short``."""
        return self.grace.value if self.short_by is None else f"{self.grace.value}, {self.short_seconds} s short"


def shutdown_of(record: DrainRecord) -> Shutdown:
    """Judge it, as far as it can be judged by now."""
    end, state = record.end, record.state
    safe_at = record.safe_at
    if safe_at is None and state in NEVER_TAKEN_OUT:
        return Shutdown(grace=ShutdownVerdict.unjudged, why=NEVER_TAKEN_OUT[state])
    if end is None:
        return Shutdown(grace=ShutdownVerdict.to_come)
    if end.ended_at is None:
        return Shutdown(grace=ShutdownVerdict.unjudged, why=end.why)
    if safe_at is None:
        if state is Outcome.failed:
            return Shutdown(grace=ShutdownVerdict.not_graceful, why="it ended while callers were still given it")
        return Shutdown(grace=ShutdownVerdict.to_come)
    missing = safe_at - end.ended_at
    if missing <= TOLERANCE:
        return Shutdown(grace=ShutdownVerdict.graceful)
    return Shutdown(grace=ShutdownVerdict.not_graceful, short_by=missing, why=end.why)


def safe_after(record: DrainRecord, now: datetime) -> datetime | None:
    """Until when the pod has to go on serving, while that lies ahead and the pod is there; else None."""
    waits = record.safe_at is not None and record.safe_at > now
    return record.safe_at if waits and shutdown_of(record).grace is ShutdownVerdict.to_come else None
