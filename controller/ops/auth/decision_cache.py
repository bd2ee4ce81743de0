"""Remember decisions for a short while, so that a page with many requests asks the API server once.

A yes lasts longer than a no: rights that were just granted work at once, and a right that was withdrawn ends soon. The
two are remembered apart, so that no number of invented tokens makes us forget who was let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from controller.domain.bounded_map import BoundedMap
from controller.ops.auth.refusals import RefusedError, UnavailableError

ALLOWED_TTL = timedelta(seconds=30)
DENIED_TTL = timedelta(seconds=5)
MAX_DECISIONS = 1_000
"""Of each of the two kinds; the oldest goes first."""
MAX_UNDER_WAY = 32
"""Unknown tokens that are checked at a time."""

Monotonic = Callable[[], float]
"""Seconds that only go forward, whatever is done to the machine's clock."""


@dataclass(frozen=True)
class User:
    """Who sent a request. The name comes from outside, and may hold anything: escape it."""

    name: str
    known: bool = True
    """False: anybody, without a token."""
    shared: bool = False
    """Whether several persons may be behind it."""


@dataclass(frozen=True)
class Refused:
    """A no. It is a plain value, because an exception would keep its frames alive, and with them the token."""

    kind: type[RefusedError]
    why: str

    def error(self) -> RefusedError:
        """Make the exception to raise."""
        return self.kind(self.why)


AuthDecision = User | Refused
Key = tuple[bytes, str]
"""A token's digest, and what it is needed for."""


class DecisionCache:
    """The newest decisions by token and need; each is made once, however many wait for it."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._yes: BoundedMap[Key, tuple[float, User]] = BoundedMap(MAX_DECISIONS)
        """Also when its time is over: then it is asked again, and in front of those who were never let in."""
        self._no: BoundedMap[Key, tuple[float, Refused]] = BoundedMap(MAX_DECISIONS)
        self._under_way: dict[Key, asyncio.Task[AuthDecision]] = {}
        self._unknown_under_way = 0

    def is_known(self, token: bytes) -> bool:
        """Return whether this token was let in before, for whatever, and not refused for the same since."""
        return any((token, need) in self._yes for need in ("READ", "WRITE"))

    async def get(
        self,
        token: bytes,
        need: str,
        decide: Callable[[], Coroutine[Any, Any, AuthDecision]],
        *,
        admit: Callable[[], object],
    ) -> AuthDecision:
        """Return the decision that is remembered, or the one that is being made, or make it.

        ``admit`` is called before an unknown token is checked, and raises where that would be one too many.
        """
        key = (token, need)
        decided: tuple[float, AuthDecision] | None
        for decided in (self._yes.get(key), self._no.get(key)):
            if decided is not None and self._clock() < decided[0]:
                return decided[1]
        task = self._under_way.get(key)
        if task is None:
            known = self.is_known(token)
            if not known:
                if self._unknown_under_way >= MAX_UNDER_WAY:
                    return Refused(UnavailableError, "too many unknown tokens are being checked: try again")
                admit()
                self._unknown_under_way += 1
            task = self._under_way[key] = asyncio.create_task(self._make(key, decide, known=known))
        # The first request may end early while others still wait for its decision.
        return await asyncio.shield(task)

    async def _make(
        self, key: Key, decide: Callable[[], Coroutine[Any, Any, AuthDecision]], *, known: bool
    ) -> AuthDecision:
        try:
            decision = await decide()
            self._keep(key, decision)
            return decision
        finally:
            del self._under_way[key]
            self._unknown_under_way -= not known

    def _keep(self, key: Key, decision: AuthDecision) -> None:
        if isinstance(decision, User):
            self._no.pop(key, None)
            self._yes.put(key, (self._clock() + ALLOWED_TTL.total_seconds(), decision))
        elif decision.kind is not UnavailableError:
            self._yes.pop(key, None)
            self._no.put(key, (self._clock() + DENIED_TTL.total_seconds(), decision))
