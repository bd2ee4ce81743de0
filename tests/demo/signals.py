"""What Ctrl-C and SIGTERM do to the demo and to the headline: the first one ends it in order.

Trap: from the first signal on, and while everything is being ended, further signals are ignored: ending takes a second
or two, and an interrupted end would leave the rest to the guardian (tests/stack/guardian.py).
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

from tests.stack.prerequisites import MissingPrerequisiteError, ReportProgress
from tests.stack.processes import ProcessError
from tests.stack.waiting import NeverHappenedError


class Signals:
    """The first one cancels the task, unless the task waits for it; the others do nothing."""

    def __init__(self, task: asyncio.Task[int], report_progress: ReportProgress) -> None:
        self.received: signal.Signals | None = None
        self._report_progress = report_progress
        self._task: asyncio.Task[int] | None = task
        self._came = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)

    def ignore(self) -> None:
        """From now on."""
        self._task = None

    async def wait(self) -> None:
        """For the first one from now on."""
        self._task = None
        await self._came.wait()

    def _receive(self, number: signal.Signals) -> None:
        if not self._came.is_set():
            self._report_progress(f"{number.name}: stopping everything")
        self._came.set()
        if self._task is not None:
            self.received, task, self._task = number, self._task, None
            task.cancel()


async def seen_through(
    work: Callable[[Signals], Awaitable[int]], report_progress: ReportProgress, *, first: str
) -> int:
    """Do the work, and return its exit code: 1 when a part failed, which is said, 128 + n by a signal."""
    task = asyncio.current_task()
    assert task is not None
    code = 1
    signals = Signals(task, report_progress)
    report_progress(first)
    try:
        code = await work(signals)
    except* asyncio.CancelledError:
        assert signals.received is not None
        code = 128 + signals.received
    except* (MissingPrerequisiteError, ProcessError, NeverHappenedError) as failed:
        for error in failed.exceptions:
            print(error, file=sys.stderr)
    report_progress("everything is stopped, nothing is left behind")
    return code
