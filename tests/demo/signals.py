"""What Ctrl-C and SIGTERM do to the demo: the first one ends it in order.

Trap: from the first signal on, and while everything is being ended, further signals are ignored: ending takes a second
or two, and an interrupted end would leave the rest to the guardian (tests/stack/guardian.py).
"""

import asyncio
import signal

from tests.stack.prerequisites import Tell


class Signals:
    """The first one cancels the task, unless the task waits for it; the others do nothing."""

    def __init__(self, task: asyncio.Task[int], tell: Tell) -> None:
        self.received: signal.Signals | None = None
        self._tell = tell
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
            self._tell(f"{number.name}: stopping everything")
        self._came.set()
        if self._task is not None:
            self.received, task, self._task = number, self._task, None
            task.cancel()
