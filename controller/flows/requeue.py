"""What a person decides about dead letters: hold them to look at, send one again, or drop it for good.

What follows from a decision is confirmed before the dead letter is settled: after a crash in between it is still there,
and nothing is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from controller.bounds import MAX_DEAD_BYTES, MAX_DEAD_MESSAGES
from controller.domain.commands import DrainCommand
from controller.domain.dead_messages import DeadMessage
from controller.domain.events import Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.domain.replay_plan import Requester, signed
from controller.domain.selection import Selection
from controller.flows.ports import Clock, DeadLetterQueue, Outbox
from controller.flows.publisher import Publisher

BATCH = 500
"""Dead letters that are fetched before the first of them is handled."""


async def hold_messages(
    queues: Mapping[str, DeadLetterQueue],
    selection: Selection,
    *,
    limit: int = MAX_DEAD_MESSAGES,
    room: int = MAX_DEAD_BYTES,
) -> list[DeadMessage]:
    """Hold those that the filters choose: ``limit`` of each region, or as many as its share of ``room`` is for."""
    chosen: list[DeadMessage] = []
    for queue in queues.values():
        wanted, left = limit, room // len(queues)
        async for message in each_message(queue, selection):
            chosen.append(message)
            wanted, left = wanted - 1, left - message.size
            if wanted <= 0 or left <= 0:
                break
    return chosen


async def each_message(queue: DeadLetterQueue, selection: Selection) -> AsyncIterator[DeadMessage]:
    """Yield every dead letter that was there at the first ``hold`` and that the filters choose, a few at a time."""
    while held := await queue.hold(BATCH):
        for message in held:
            if message.fits(selection):
                yield message


async def requeue(message: DeadMessage, queue: DeadLetterQueue, publisher: Publisher, requester: Requester) -> bool:
    """Send it again as it was given up, with the progress that it had; False when it is no message of ours."""
    if message.item is None:
        return False
    why = requester.why or "sent again from the dead letters"
    item = signed(message.item, replace(requester, why=why))
    await publisher.send(item)
    await queue.settle(message.number)
    return True


async def drop(
    message: DeadMessage, queue: DeadLetterQueue, outbox: Outbox, requester: Requester, clock: Clock
) -> None:
    """Drop it for good. The event log keeps who did so, and what it was about."""
    item = message.item
    if isinstance(item, DrainCommand):
        item = signed(item, requester)
        reason = Reason(code=ReasonCode.dropped, detail=f"dropped from the dead letters: {message.reason}")
        await outbox.record(make_event(item, Outcome.failed, clock(), reason=reason))
    await queue.settle(message.number)
