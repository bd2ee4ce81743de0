"""Who is signed in with a browser. The browser holds a random name; the token stays here.

So what is read from a browser, a proxy or a HAR file opens this page and nothing else, and no longer than the session
lasts. A restart of the process ends all of them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from controller.ops.auth.decision_cache import Monotonic

SESSION_LIFE = timedelta(hours=8)
"""A working day. The token may end sooner, and the session with it."""
MAX_SESSIONS = 1_000
MAX_SESSIONS_PER_USER = 200
"""Several persons may share one of the settings' tokens."""


@dataclass(frozen=True, slots=True)
class _Session:
    user: str
    until: float
    token: str = field(repr=False)


class SessionStore:
    """All sessions of this process, the oldest first."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def open(self, token: str, user: str) -> str:
        """Begin a session; return its name. Where there are too many of this user or in all, the oldest one ends."""
        own = [name for name, one in self._sessions.items() if one.user == user]
        if len(own) >= MAX_SESSIONS_PER_USER:
            del self._sessions[own[0]]
        elif len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        name = secrets.token_urlsafe(32)
        self._sessions[name] = _Session(user, self._clock() + SESSION_LIFE.total_seconds(), token)
        return name

    def token(self, name: str) -> str | None:
        """Return the token of a session; None when there is no such session any more."""
        found = self._sessions.get(name)
        if found is None:
            return None
        if self._clock() >= found.until:
            del self._sessions[name]
            return None
        return found.token

    def close(self, name: str) -> None:
        """End a session."""
        self._sessions.pop(name, None)
