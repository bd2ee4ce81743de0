"""Until when a watch has seen everything: what comes after a gap may have happened at any moment of it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

MAX_SILENCE = timedelta(seconds=15)
"""An idle watch answers every ten seconds."""
CATCH_UP = timedelta(seconds=2)
"""How long a watch that was taken up again sends what happened before: it does so at once."""


class WatchContact:
    """One watch's contact with the API server."""

    def __init__(self) -> None:
        self.seen_until: datetime | None = None
        """When it answered last; None before it ever has."""
        self._gap_began_at: datetime | None = None
        self._caught_up_at: datetime | None = None

    def heard(self, now: datetime) -> datetime | None:
        """Note an answer. Return when the gap began, where the answer may be about something that happened in it."""
        if self.seen_until is not None and now - self.seen_until > MAX_SILENCE:
            self._gap_began_at, self._caught_up_at = self.seen_until, now + CATCH_UP
        self.seen_until = now
        return self._gap_began_at if self._caught_up_at is not None and now < self._caught_up_at else None

    def listed(self, now: datetime) -> datetime | None:
        """Note a list, which shows the present; return until when everything was seen before."""
        before, self.seen_until, self._caught_up_at = self.seen_until, now, None
        return before
