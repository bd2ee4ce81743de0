"""A long process: its tasks in one group, its signals, and how it stops.

Order at SIGTERM: ``stop`` hooks run first (take no more, finish what is in flight, within their budget), then every
task is cancelled, then whatever was opened is closed by its owner. A task that ends on its own ends the process.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
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
    """Run it to its end, or until SIGINT or SIGTERM; whether it came to its end."""
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


async def run_until_stopped(
    tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]], *, stop: Callable[[], Awaitable[None]]
) -> None:
    """Run the named tasks until SIGTERM or SIGINT; raises an exception group when one of them ends by itself."""
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
