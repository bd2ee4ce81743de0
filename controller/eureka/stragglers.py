"""Asking several nodes at once, of which one may be frozen.

A node is waited for as long as its requests may take. One that let its last request run into that timeout is frozen:
it is waited for only briefly once another node has answered, so that it does not hold up what the others know. Its
requests go on without us, and the first of them that is answered in time makes it a node like any other.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

FROZEN_NODE_TIMEOUT = 0.25
"""Seconds that a frozen node is waited for once another one has answered."""
CLOCK_RESOLUTION = 0.01
"""Seconds by which a timer may fire too early."""


class MayFreeze(Protocol):
    """A node, as far as it matters here."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def is_frozen(self) -> bool:
        """Whether the last that was heard of it is that a request ran into its timeout."""
        ...

    def note_silence(self) -> None:
        """Note that it is."""
        ...


N = TypeVar("N", bound=MayFreeze)
T = TypeVar("T")


class Stragglers:
    """Requests that nobody waits for any more, at most so many a node, and how they become that."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._left: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    async def gather(
        self,
        nodes: Sequence[N],
        ask: Callable[[N], Coroutine[Any, Any, T]],
        *,
        is_answer: Callable[[T], bool],
        not_waited_for: Callable[[str], T],
        timeout: timedelta | None = None,
    ) -> list[T]:
        """Ask these nodes; return what each of them said, and what stands for one that was not waited for.

        ``ask`` raises nothing. What is not an answer (a refusal, say) makes no other node late. ``timeout`` is for
        requests that may take longer: once a node has answered, the others get as much again, or this if it is more.
        """
        tasks = {asyncio.create_task(ask(node)): node for node in nodes}
        try:
            late = await _wait(tasks, is_answer, timeout)
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        for task in late:
            self._leave(tasks[task], task)
        return [not_waited_for(node.url) if task in late else task.result() for task, node in tasks.items()]

    async def close(self) -> None:
        """End what was left to itself."""
        left = [task for tasks in self._left.values() for task in tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _leave(self, node: MayFreeze, task: asyncio.Task[Any]) -> None:
        """Let the request run to its end, which shows how the node is, unless enough of them do so already."""
        left = self._left[node.url]
        if len(left) >= self._limit:
            task.cancel()
            return
        left.add(task)
        task.add_done_callback(left.discard)


async def _wait(
    tasks: Mapping[asyncio.Task[T], N], is_answer: Callable[[T], bool], timeout: timedelta | None
) -> set[asyncio.Task[T]]:
    """Wait for each node as long as it deserves; return what is not waited for."""
    now = asyncio.get_running_loop().time
    begun_at = now()
    while not any(task.done() and is_answer(task.result()) for task in tasks):
        waiting = [task for task in tasks if not task.done()]
        if not waiting:
            return set()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    answered_at = now()
    longest = math.inf if timeout is None else max(timeout.total_seconds(), answered_at - begun_at)
    late: set[asyncio.Task[T]] = set()
    while waiting := [task for task in tasks if not task.done() and task not in late]:
        # Look again and again: by other requests a node may turn out meanwhile to be frozen, or not to be.
        await asyncio.wait(waiting, timeout=FROZEN_NODE_TIMEOUT)
        waited = now() - answered_at + CLOCK_RESOLUTION
        for task in waiting:
            if not task.done() and waited >= longest:
                tasks[task].note_silence()
            if not task.done() and tasks[task].is_frozen and waited >= FROZEN_NODE_TIMEOUT:
                late.add(task)
    return late
