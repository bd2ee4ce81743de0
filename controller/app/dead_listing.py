"""The page's look at the dead letters: one for all who ask within some seconds, since a look hides them meanwhile."""

from __future__ import annotations

import asyncio

from controller.bounds import MAX_DEAD_BATCH_BYTES
from controller.domain.dead_messages import DeadMessage
from controller.domain.selection import Selection
from controller.errors import BrokerError
from controller.flows.requeue import hold_messages
from controller.ops.web.pages import MAX_MESSAGES
from controller.rabbit.dead_letter_queue import RabbitDeadLetterQueue
from controller.settings import Settings

LOOK_INTERVAL = 5.0
"""Seconds between two looks, however many people poll."""
PAGE_LOCK_TIMEOUT = 3.0
"""Seconds: a page does not wait for the end of a long requeue."""

Listing = tuple[list[DeadMessage], list[str]]
"""The dead letters that can be read, and what is wrong with the regions whose cannot."""


class DeadLetterListing:
    """Looks into every region's dead letters, at most once in ``LOOK_INTERVAL``."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._one_at_a_time = asyncio.Lock()
        self._found: Listing = ([], [])
        self._looked_at = -LOOK_INTERVAL

    async def read(self) -> Listing:
        """Return what was found just now, or a moment ago."""
        async with self._one_at_a_time:
            if asyncio.get_running_loop().time() - self._looked_at >= LOOK_INTERVAL:
                self._found = await self._look()
                self._looked_at = asyncio.get_running_loop().time()
            return self._found

    async def _look(self) -> Listing:
        messages: list[DeadMessage] = []
        unreadable: list[str] = []
        broker, room = self.settings.broker, MAX_DEAD_BATCH_BYTES // max(1, len(self.settings.regions))
        for name in self.settings.regions:
            async with RabbitDeadLetterQueue(settings=broker, region=name, lock_timeout=PAGE_LOCK_TIMEOUT) as queue:
                try:
                    messages += await hold_messages({name: queue}, Selection(), limit=MAX_MESSAGES, room=room)
                    if queue.unseen:
                        unreadable.append(f"at least {queue.unseen} more of {name}: eureka-drain dead --region {name}")
                except BrokerError as error:
                    unreadable.append(str(error))
        return messages, unreadable
