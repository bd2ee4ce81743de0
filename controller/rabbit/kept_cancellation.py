"""A cancellation is what was asked of a task, and nothing else: the client library mistakes it both ways.

It takes one for an answer of its own: ``asyncio.wait_for`` before Python 3.12, which it uses for every call with a
timeout, returns what came at the same moment, and a channel's close turns a cancellation into an error and drops that.
An endless task would go on, and its process would be killed at the end of its grace period. (Measured: one of some 75
cancelled links.)

And it raises one that nobody asked for: a call that is under way while we close its connection ends with
``CancelledError``. The task would end with it, and nobody would hear of that: a message would be held for ever, and an
event lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from controller.errors import BrokerError


@contextlib.contextmanager
def kept_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end when the task was cancelled within, and only then; BrokerError in its place."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    except asyncio.CancelledError as error:
        if task.cancelling() > before:
            raise
        raise BrokerError("the connection was closed meanwhile") from error
    except Exception as error:
        if task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError
