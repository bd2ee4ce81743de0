"""How many unknown tokens are looked at, of one address and in all. Known ones are never behind this limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.domain.bounded_map import BoundedMap
from controller.ops.auth.decision_cache import Monotonic
from controller.ops.auth.refusals import TooManyAttemptsError

MAX_PEER_TOKENS = 20
"""Wrong tokens of one address at once. Behind a proxy everybody has the same."""
PEER_TOKENS_PER_SECOND = 1.0
MAX_TOKENS = 100
"""Wrong tokens of all addresses at once."""
TOKENS_PER_SECOND = 10.0
MAX_PEERS = 1_000
"""Addresses that are remembered; the one that was seen last stays longest."""


@dataclass(slots=True)
class _Bucket:
    """Tokens that may still be looked at; it fills up again by itself."""

    size: int
    per_second: float
    level: float
    at: float

    def fill(self, now: float) -> None:
        self.level = min(self.size, self.level + (now - self.at) * self.per_second)
        self.at = now

    @property
    def wait(self) -> int:
        """Seconds until there is one."""
        return max(0, math.ceil((1.0 - self.level) / self.per_second))


class TokenRate:
    """One for the process. A token counts before it is checked, since many at a time are as many."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._all = _Bucket(MAX_TOKENS, TOKENS_PER_SECOND, MAX_TOKENS, clock())
        self._peers: BoundedMap[str, _Bucket] = BoundedMap(MAX_PEERS)

    def take(self, peer: str) -> None:
        """Count one; TooManyAttemptsError when none is left."""
        now = self._clock()
        bucket = self._peers.get(peer)
        if bucket is None:
            bucket = _Bucket(MAX_PEER_TOKENS, PEER_TOKENS_PER_SECOND, MAX_PEER_TOKENS, now)
        self._peers.put(peer, bucket)
        for one in (bucket, self._all):
            one.fill(now)
        seconds = max(bucket.wait, self._all.wait)
        if seconds:
            raise TooManyAttemptsError(f"too many unknown tokens: try again in {seconds} s", seconds=seconds)
        for one in (bucket, self._all):
            one.level -= 1.0

    def give_back(self, peer: str) -> None:
        """Uncount it: it was no wrong token."""
        for one in (self._peers.get(peer), self._all):
            if one is not None:
                one.level = min(one.size, one.level + 1.0)
