"""How long one callback keeps the event loop from everything else, and how much memory some work takes at most."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

MAX_HELD = 3.0
"""Whoever asks for a probe, or has another pod drained, waits no longer for one input than this many ``yardsticks``."""


def yardstick() -> float:
    """Return the CPU seconds that a fixed piece of work takes here and now, some 0.05.

    A slow machine, or one whose caches others use, is slower at this too.
    """
    took = []
    for _ in range(3):
        begun_at = time.thread_time()
        sum(number * number for number in range(500_000))
        took.append(time.thread_time() - begun_at)
    return max(took)


@dataclass
class Held:
    """The longest callback so far."""

    seconds: float = 0.0
    callback: str = ""

    def check(self) -> None:
        """Fail when a callback has held the loop for too long."""
        longest = MAX_HELD * yardstick()
        shown = f"{1000 * self.seconds:.0f} ms, longer than {1000 * longest:.0f} ms"
        assert self.seconds < longest, f"{self.callback} held the loop for {shown}"


@asynccontextmanager
async def longest_callback() -> AsyncIterator[Held]:
    """Measure what runs in this thread's loop meanwhile.

    By CPU time: on a busy machine the time that passes is the others'. What other tests have left in memory is not
    looked through by the collector meanwhile: that, too, takes time that is theirs.
    """
    held, run = Held(), asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        begun_at = time.thread_time()
        run(handle)
        took = time.thread_time() - begun_at
        if took > held.seconds:
            held.seconds, held.callback = took, repr(handle)[:200]

    gc.collect()
    gc.freeze()
    try:
        with patch.object(asyncio.Handle, "_run", measured):
            await asyncio.sleep(0)
            yield held
            await asyncio.sleep(0)  # what ends now has its callback's end still to come
    finally:
        gc.unfreeze()


@dataclass
class Peak:
    """What was allocated at most, beyond what there was before."""

    megabytes: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure what Python allocates meanwhile, in every thread."""
    peak: Any = Peak()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield peak
        peak.megabytes = (tracemalloc.get_traced_memory()[1] - before) / 2**20
    finally:
        tracemalloc.stop()
