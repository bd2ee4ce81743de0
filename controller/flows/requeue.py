"""What a person decides about dead letters: hold them to look at, send one again, or drop it for good.

What follows from a decision is confirmed before the dead letter is settled: after a crash in between it is still there,
and nothing is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from controller.bounds import MAX_DEAD_BYTES, MAX_DEAD_MESSAGES
from controller.domain.commands import DrainCommand
from controller.domain.dead_messages import DeadMessage
from controller.domain.events import Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.domain.replay_plan import Requester, signed
from controller.domain.selection import Selection
from controller.flows.ports import Clock, DeadLetterQueue
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


@dataclass(slots=True)
class Settlement:
    """What became of the dead letters that were chosen."""

    settled: int = 0
    foreign: list[DeadMessage] = field(default_factory=list)
    """What is no message of ours, and was left where it is."""
    unseen: dict[str, int] = field(default_factory=dict)
    """By region, how many were not looked at; at least so many, where the time was over."""


async def settle_each(
    queues: Mapping[str, DeadLetterQueue],
    selection: Selection,
    requester: Requester,
    *,
    drops: bool,
    publisher: Publisher,
    clock: Clock,
    within: timedelta = timedelta.max,
) -> Settlement:
    """Send each of those that the filters choose again, or drop it, for as long as there is time."""
    done, begun = Settlement(), clock()
    for name, queue in queues.items():
        async for message in each_message(queue, selection):
            if clock() - begun > within:
                # Those that are held and were not handled count among none.
                done.unseen[name] = max(1, queue.unseen)
                break
            if drops:
                await drop(message, queue, publisher, requester, clock)
            elif not await requeue(message, queue, publisher, requester):
                done.foreign.append(message)
                continue
            done.settled += 1
        else:
            if queue.unseen:
                done.unseen[name] = queue.unseen
    return done


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
    message: DeadMessage, queue: DeadLetterQueue, publisher: Publisher, requester: Requester, clock: Clock
) -> None:
    """Drop it for good. The event log keeps who did so, and what it was about."""
    item = message.item
    if isinstance(item, DrainCommand):
        item = signed(item, requester)
        reason = Reason(code=ReasonCode.dropped, detail=f"dropped from the dead letters: {message.reason}")
        await publisher.write(make_event(item, Outcome.failed, clock(), reason=reason))
    await queue.settle(message.number)
