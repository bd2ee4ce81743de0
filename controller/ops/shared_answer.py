"""One answer for all who ask at the same time, and for those who ask soon after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from controller.signals import take_error

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """What costs too much to be made for each of them."""

    def __init__(
        self, make: Callable[[], Awaitable[Answer]], *, lasts: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``lasts``: seconds for which an answer is given again."""
        self._make = make
        self._lasts = lasts
        self._clock = clock
        self._made: tuple[float, Answer] | None = None
        self._making: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """Return the answer that is there, or that is being made, or make it. What cannot be made raises for all."""
        if self._made is not None and self._clock() < self._made[0]:
            return self._made[1]
        if self._making is None:
            self._making = asyncio.create_task(self._remember())
            self._making.add_done_callback(take_error)
        # Whoever asked first may go away while others wait.
        return await asyncio.shield(self._making)

    async def _remember(self) -> Answer:
        try:
            answer = await self._make()
            self._made = (self._clock() + self._lasts, answer)
            return answer
        finally:
            self._making = None
