"""A cancellation that the client library takes for an answer of its own is raised all the same.

``asyncio.wait_for`` before Python 3.12, which the library uses for every call with a timeout, returns what came at the
same moment, and a channel's close turns a cancellation into an error and drops that. An endless task would go on, and
its process would be killed at the end of its grace period. (Measured: one of some 75 cancelled links.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def kept_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end when the task was cancelled within, whatever came of that."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    except Exception as error:
        if task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError
