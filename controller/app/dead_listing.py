"""The page's look at the dead letters: one for all who ask within some seconds, since a look hides them meanwhile."""

from __future__ import annotations

from controller.bounds import MAX_DEAD_BATCH_BYTES
from controller.domain.dead_messages import DeadMessage
from controller.domain.selection import Selection
from controller.errors import BrokerError
from controller.flows.requeue import hold_messages
from controller.ops.web.pages import MAX_MESSAGES
from controller.rabbit.dead_letter_queue import LOOKING, RabbitDeadLetterQueue
from controller.settings import Settings

LOOK_INTERVAL = 5.0
"""Seconds between two looks, however many people poll."""

Listing = tuple[list[DeadMessage], list[str]]
"""The dead letters that can be read, and what is wrong with the regions whose cannot."""


async def look_at_dead_letters(settings: Settings) -> Listing:
    """Look into every region's dead letters, each under its lock."""
    messages: list[DeadMessage] = []
    unreadable: list[str] = []
    broker, room = settings.broker, MAX_DEAD_BATCH_BYTES // max(1, len(settings.regions))
    for name in settings.regions:
        async with RabbitDeadLetterQueue(settings=broker, region=name, lock_wait=LOOKING) as queue:
            try:
                messages += await hold_messages({name: queue}, Selection(), limit=MAX_MESSAGES, room=room)
                if queue.unseen:
                    unreadable.append(f"at least {queue.unseen} more of {name}: eureka-drain dead --region {name}")
            except BrokerError as error:
                unreadable.append(str(error))
    return messages, unreadable
