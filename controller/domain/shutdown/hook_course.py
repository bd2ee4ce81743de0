"""How a preStop hook goes: how long it holds up the end of serving for certain, and what of it cannot be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

FOREVER = math.inf
"""Seconds of a sleep without end."""
MAX_DEPTH = 5
"""Shells, brackets, and programs that run programs, inside of each other."""
EXITS = "the hook ends there"
"""Over, for the shell that says so; the application goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCourse:
    """A command's course. Commands follow each other with ``then``."""

    seconds: float = 0.0
    """It holds up the end for so long at least; what comes after ``over`` or ``unknown`` is not in it."""
    over: str = ""
    """Why nothing after this counts: the hook is over, or the application was told to stop. Empty: it goes on."""
    unknown: str = ""
    """What cannot be judged: from there on anything may happen. Empty: nothing."""
    hinges: str = ""
    """It may be over already, or not. What takes time after that cannot be judged."""
    acts: bool = False
    """It does something else than waiting."""
    may_fail: bool = False
    """A command in it may fail, so that ``&&`` ends there."""
    notes: tuple[str, ...] = ()
    """What whoever wrote it may not know."""

    def then(self, later: HookCourse) -> HookCourse:
        """One after the other."""
        seen = replace(
            self,
            acts=self.acts or later.acts,
            may_fail=self.may_fail or later.may_fail,
            notes=tuple(dict.fromkeys(self.notes + later.notes)),
        )
        if self.over or self.unknown:
            return seen
        if self.hinges and (later.seconds or later.unknown):
            return replace(seen, unknown=self.hinges)
        return replace(
            seen,
            seconds=self.seconds + later.seconds,
            over=later.over,
            unknown=later.unknown,
            hinges=self.hinges or later.hinges,
        )

    def beside(self, other: HookCourse) -> HookCourse:
        """Both at the same time, as in a pipe: done when both are."""
        return replace(
            self.then(other),
            seconds=max(self.seconds, other.seconds),
            over=self.over or other.over,
            unknown=self.unknown or other.unknown,
        )

    def inside(self) -> HookCourse:
        """The same in a shell of its own: an ``exit`` in it ends no more than that."""
        return replace(self, over="") if self.over == EXITS else self


IMMEDIATE = HookCourse()
"""Nothing that takes time."""


def lost(why: str) -> HookCourse:
    """What cannot be judged from here on."""
    return HookCourse(unknown=why, acts=True, may_fail=True)


def failing(note: str) -> HookCourse:
    """What fails at once, and waits for nothing."""
    return HookCourse(may_fail=True, notes=(note,))
