"""The event log, as far as it has been read."""

import asyncio


class FakeLog:
    """The flows' ``EventLog``."""

    def __init__(self, *, caught_up: bool = True) -> None:
        self.caught_up = caught_up

    async def wait_until_read(self) -> None:
        """It is, or never will be."""
        if not self.caught_up:
            await asyncio.Event().wait()
