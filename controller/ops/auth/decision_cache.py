"""Remember decisions for a short while, so that a page with many requests asks the API server once.

A yes lasts longer than a no: rights that were just granted work at once, and a right that was withdrawn ends soon.
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
"""Tokens that are checked at a time: somebody who tries out tokens must not cause a flood of reviews."""

Monotonic = Callable[[], float]
"""Seconds that only go forward, whatever is done to the machine's clock."""


@dataclass(frozen=True)
class User:
    """Who sent a request. The name comes from outside, and may hold anything: escape it."""

    name: str
    known: bool = True
    """False: anybody, without a token."""


@dataclass(frozen=True)
class Refused:
    """A no. It is a plain value, because an exception would keep its frames alive, and with them the token."""

    kind: type[RefusedError]
    why: str

    def error(self) -> RefusedError:
        """Make the exception to raise."""
        return self.kind(self.why)


AuthDecision = User | Refused


class DecisionCache:
    """The newest decisions by key; each is made once, however many wait for it."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._decided: dict[bytes, tuple[float, AuthDecision]] = {}
        self._under_way: dict[bytes, asyncio.Task[AuthDecision]] = {}

    async def get(self, key: bytes, decide: Callable[[], Coroutine[Any, Any, AuthDecision]]) -> AuthDecision:
        """Return the decision that is remembered, or the one that is being made, or make it."""
        until, decision = self._decided.get(key, (0.0, None))
        if decision is not None and self._clock() < until:
            return decision
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MAX_UNDER_WAY:
                return Refused(UnavailableError, "too many tokens are being checked: try again")
            task = self._under_way[key] = asyncio.create_task(self._make(key, decide))
        # The first request may end early while others still wait for its decision.
        return await asyncio.shield(task)

    async def _make(self, key: bytes, decide: Callable[[], Coroutine[Any, Any, AuthDecision]]) -> AuthDecision:
        try:
            decision = await decide()
            self._keep(key, decision)
            return decision
        finally:
            del self._under_way[key]

    def _keep(self, key: bytes, decision: AuthDecision) -> None:
        self._decided.pop(key, None)
        if isinstance(decision, Refused) and decision.kind is UnavailableError:
            return
        if len(self._decided) >= MAX_DECISIONS:
            del self._decided[next(iter(self._decided))]
        ttl = DENIED_TTL if isinstance(decision, Refused) else ALLOWED_TTL
        self._decided[key] = (self._clock() + ttl.total_seconds(), decision)
