"""Bringing back what came for a region before its queue was there: it waits in ``drain.unrouted``.

So it is when the first worker of a new region starts, and when somebody has deleted a region's queue, or what leads to
it, by hand.
"""

from __future__ import annotations

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from loguru import logger

from controller.rabbit import names
from controller.rabbit.bounded_reading import unread_bytes
from controller.rabbit.outbox import RabbitOutbox


async def bring_back(channel: AbstractChannel, region: str, outbox: RabbitOutbox, *, beyond: int = 0) -> int:
    """Send the region's messages on to its queue, if more than ``beyond`` are there; return how many are left.

    The others are put back at the end. They are not requeued: a broker counts that as a failed delivery, and drops what
    was delivered too often.
    """
    queue = await channel.declare_queue(names.UNROUTED, passive=True)
    count = queue.declaration_result.message_count or 0
    if count <= beyond:
        return count
    found = 0
    for _ in range(count):
        message = await queue.get(fail=False)
        if message is None:
            break
        if size := unread_bytes(message):
            log = logger.bind(message_id=str(message.message_id), key=message.routing_key, bytes=size)
            log.warning("an unrouted message is dropped: it is too large to be one of ours")
        elif region_of(message) == region:
            await outbox.route(region, message)
            found += 1
        else:
            await outbox.keep_unrouted(message)
        await message.ack()
    if found:
        logger.bind(region=region, messages=found).info("unrouted messages brought back")
    return count - found


def region_of(message: AbstractIncomingMessage) -> str:
    """Return for whom an unrouted message is: the last word of its key, whichever way it came."""
    return (message.routing_key or "").rpartition(".")[2]
