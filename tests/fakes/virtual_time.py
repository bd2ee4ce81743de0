"""Time that passes only when nothing else has work to do: hours of retention in milliseconds.

A test runs in an event loop of its own, whose clock jumps to the next timer. It must not wait for anything outside
of the process: with no timer left the loop waits a real second, and then every task gets a timeout.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, ParamSpec

import looptime

from tests.unit.building import NOON

P = ParamSpec("P")


def in_virtual_time(record: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a synchronous test of an asynchronous function; its clock starts at noon."""

    @functools.wraps(record)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(idle_timeout=1, noop_cycles=0)) as runner:
            runner.run(record(*args, **kwargs))

    return run


def virtual_clock() -> datetime:
    """The running loop's time, counted from noon."""
    return NOON + timedelta(seconds=asyncio.get_running_loop().time())


def elapsed() -> float:
    """Seconds since noon."""
    return asyncio.get_running_loop().time()
