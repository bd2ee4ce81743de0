"""Decisions that are remembered for a short while, so that a page with many requests asks the API server once.

A yes lasts longer than a no: rights that were just granted should work at once, and what was taken away, soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from controller.ops.auth.refusals import RefusedError, UnavailableError

ALLOWED_TTL = timedelta(seconds=30)
DENIED_TTL = timedelta(seconds=5)
MAX_DECISIONS = 1_000
"""Decisions; the oldest goes first."""
MAX_UNDER_WAY = 64
"""Different tokens that are being checked: somebody who tries out tokens must not turn into a flood of reviews."""

Monotonic = Callable[[], float]
"""Seconds that only go forward, whatever is done to the machine's clock."""


@dataclass(frozen=True)
class User:
    """Who asks. The name comes from outside, and may hold anything: escape it."""

    name: str
    known: bool = True
    """False: anybody."""


@dataclass(frozen=True)
class Refused:
    """A no; a plain value, because an exception would keep what it has seen alive, the token too."""

    kind: type[RefusedError]
    why: str

    def error(self) -> RefusedError:
        """Make what is raised."""
        return self.kind(self.why)


Decision = User | Refused


class DecisionCache:
    """What was decided lately, by key; one decision at a time for each key."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._kept: dict[bytes, tuple[float, Decision]] = {}
        self._under_way: dict[bytes, asyncio.Task[Decision]] = {}

    async def of(self, key: bytes, decide: Callable[[], Coroutine[Any, Any, Decision]]) -> Decision:
        """Give the decision that is remembered, or the one that is being made, or let it be made."""
        until, decision = self._kept.get(key, (0.0, None))
        if decision is not None and self._clock() < until:
            return decision
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MAX_UNDER_WAY:
                return Refused(UnavailableError, "too many tokens are being checked: try again")
            task = self._under_way[key] = asyncio.create_task(self._make(key, decide))
        # Who asked first may go away, and the others still wait for it.
        return await asyncio.shield(task)

    async def _make(self, key: bytes, decide: Callable[[], Coroutine[Any, Any, Decision]]) -> Decision:
        try:
            decision = await decide()
            self._keep(key, decision)
            return decision
        finally:
            del self._under_way[key]

    def _keep(self, key: bytes, decision: Decision) -> None:
        self._kept.pop(key, None)
        if isinstance(decision, Refused) and decision.kind is UnavailableError:
            return
        if len(self._kept) >= MAX_DECISIONS:
            del self._kept[next(iter(self._kept))]
        kept = DENIED_TTL if isinstance(decision, Refused) else ALLOWED_TTL
        self._kept[key] = (self._clock() + kept.total_seconds(), decision)
