"""Bringing back what came for a region before its queue was there: it waits in ``drain.unrouted``.

So it is when the first worker of a new region starts, and when somebody has deleted a region's queue by hand.
"""

from __future__ import annotations

from aio_pika.abc import AbstractChannel
from loguru import logger

from controller.rabbit import names
from controller.rabbit.outbox import RabbitOutbox


async def bring_back(channel: AbstractChannel, region: str, outbox: RabbitOutbox) -> None:
    """Send the region's messages on to its queue, and put the others back at the end.

    They are not requeued: a broker counts that as a failed delivery, and drops what was delivered too often.
    """
    queue = await channel.declare_queue(names.UNROUTED, passive=True)
    found = 0
    for _ in range(queue.declaration_result.message_count or 0):
        message = await queue.get(fail=False)
        if message is None:
            break
        if (message.routing_key or "").rpartition(".")[2] == region:
            await outbox.route(region, message)
            found += 1
        else:
            await outbox.keep_unrouted(message)
        await message.ack()
    if found:
        logger.bind(region=region, messages=found).info("unrouted messages brought back")
