"""Waiting between two tries: twice as long each time, with jitter, so that replicas do not retry in step."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

MAX_DOUBLINGS = 16


class Backoff:
    """The waits of one series of tries."""

    def __init__(self, *, longest: timedelta, first: timedelta = timedelta(seconds=1)) -> None:
        self._first = first
        self._longest = longest
        self.attempt = 0
        """How often has been waited since the last reset."""

    def reset(self) -> None:
        """Begin anew: it went well."""
        self.attempt = 0

    async def wait(self) -> None:
        """Wait for the next try: between half of the time and all of it."""
        seconds = min(self._first * 2 ** min(self.attempt, MAX_DOUBLINGS), self._longest).total_seconds()
        self.attempt += 1
        await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
