"""Run a process's tasks in one group until a signal.

Order at SIGTERM: ``stop`` runs first (take no more work, finish what is in flight, within its budget), then every task
is cancelled, then the owner of whatever was opened closes it. A task that ends on its own ends the process.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any


class TaskEndedError(RuntimeError):
    """A task that should run for ever has ended."""


class _Stopped(Exception):  # noqa: N818 - not an error
    """Raised inside the group to end it in order."""


@asynccontextmanager
async def beside(task: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run an endless task for as long as the context lasts."""
    running = asyncio.create_task(task())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until_interrupted(task: Coroutine[Any, Any, None]) -> bool:
    """Run a task to its end, or until SIGINT or SIGTERM; return whether it came to its end."""
    interrupted = asyncio.Event()
    running = asyncio.create_task(task)
    waiting = asyncio.create_task(interrupted.wait())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupted.set)
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        ended = running.done()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        for part in (running, waiting):
            part.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
    if ended:
        running.result()
    return ended


def take_error(task: asyncio.Task[Any]) -> None:
    """Look at the error of a task that has ended: whoever waited for it may have gone, and none is reported as lost."""
    if not task.cancelled():
        task.exception()


async def finish_in_turn(within: timedelta, *finishing: Callable[[timedelta], Awaitable[object]]) -> None:
    """Finish one after the other; each has what the others have left of the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within.total_seconds()
    for finish in finishing:
        await finish(timedelta(seconds=max(0.0, end - loop.time())))


async def run_until_stopped(
    tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]], *, stop: Callable[[], Awaitable[None]]
) -> None:
    """Run the named tasks until SIGTERM or SIGINT; raise an exception group if one of them ends by itself."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    async def forever(name: str, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await task()
        raise TaskEndedError(f"{name} has ended")

    async def end() -> None:
        await stopping.wait()
        await stop()
        raise _Stopped

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(end(), name="stop")
            for name, task in tasks.items():
                group.create_task(forever(name, task), name=name)
    except* _Stopped:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
