"""How far a server's clock is ahead of ours, by the ``Date`` of its answers.

Registrations bear a Eureka node's time, and pods that of the API server. The header has whole seconds, so what is
measured is good for a second or two; the estimate stays as it is while measurements agree with it, so that times which
are compared with each other do not shift between two looks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=2)
"""A smaller difference counts as none, and a measurement as near as this to the estimate leaves it as it is."""
MAX_OFFSET = timedelta(days=1)
"""What is further away is no clock."""
MAX_TRIP = timedelta(seconds=2)
"""An answer that took longer does not say when its date was written."""
HALF_A_SECOND = timedelta(milliseconds=500)


class ClockOffset:
    """One server's; zero until an answer shows otherwise."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def measure(self, shown_at: datetime | None, begun_at: datetime, ended_at: datetime) -> None:
        """Note the time that an answer bears, which was asked for and came at these times of ours."""
        if shown_at is None or not timedelta(0) <= ended_at - begun_at <= MAX_TRIP:
            return
        # The header's second is cut off: on average half of it has passed.
        measured = shown_at + HALF_A_SECOND - (begun_at + (ended_at - begun_at) / 2)
        if abs(measured) > MAX_OFFSET or abs(measured - self.ahead) <= TOLERANCE:
            return
        self.ahead = timedelta(0) if abs(measured) < TOLERANCE else timedelta(seconds=round(measured.total_seconds()))
