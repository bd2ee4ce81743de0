"""Dying at a chosen point: every side effect passes by here just before and just after it takes place.

A process that has crashed reaches nothing any more: whatever is left of its tasks dies at its next side effect.
"""

from __future__ import annotations


class Crashed(BaseException):
    """The process died here. No ``Exception``: nothing in the program may catch it."""


class CrashPlan:
    """Notes the points in their order, and crashes at one of them, once."""

    def __init__(self, at: int | None = None) -> None:
        self.reached: list[str] = []
        self.crashed_at: str | None = None
        self._at = at
        self._dead = False

    def reach(self, point: str) -> None:
        """Raise when the process dies at this point, or is dead already."""
        if self._dead:
            raise Crashed(point)
        self.reached.append(point)
        if len(self.reached) - 1 == self._at:
            self._dead, self.crashed_at = True, point
            raise Crashed(point)

    def crash_next(self) -> None:
        """Die at whatever is reached next."""
        self._at = len(self.reached)

    def revive(self) -> None:
        """A new process takes the dead one's place."""
        self._dead = False
