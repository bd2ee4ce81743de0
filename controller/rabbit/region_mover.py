"""Moving what waits for a region that nobody has any more to another one.

Each message is confirmed by the broker in its new place before it is taken out of the old one: what is interrupted is
run again, and a command that was sent twice counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from controller.domain.commands import WorkItem
from controller.domain.manual_commands import moved_to
from controller.errors import MessageError
from controller.messages.codec import decode_item
from controller.rabbit import names
from controller.rabbit.bounded_reading import check_read, unread_bytes
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.unrouted import region_of


@dataclass(slots=True)
class MoveResult:
    """What became of the messages."""

    moved: list[WorkItem] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Those that are none of ours, each with the reason."""


class RegionMover:
    """Moves from the region ``source`` to ``target``. The channel is nobody else's: its end puts back what is held."""

    def __init__(self, *, channel: AbstractChannel, outbox: RabbitOutbox, source: str, target: str) -> None:
        self._channel = channel
        self._outbox = outbox
        self._source = source
        self._target = target
        self.result = MoveResult()

    async def move_queue(self) -> None:
        """Empty the region's queue. What cannot be decoded is held, so that it is not met again, and stays."""
        queue = await self._channel.get_queue(names.commands_queue(self._source), ensure=False)
        while (message := await queue.get(fail=False)) is not None:
            if await self._moved(message):
                await message.ack()

    async def move_unrouted(self) -> None:
        """Take the region's out of what is unrouted, and put the others back at the end."""
        queue = await self._channel.declare_queue(names.UNROUTED, passive=True)
        for _ in range(queue.declaration_result.message_count or 0):
            message = await queue.get(fail=False)
            if message is None:
                break
            if unread_bytes(message):
                continue  # it goes back when the channel ends
            if region_of(message) != self._source or not await self._moved(message):
                await self._outbox.keep_unrouted(message)
            await message.ack()

    async def _moved(self, message: AbstractIncomingMessage) -> bool:
        try:
            check_read(message)
            item = decode_item(message.body, type_=message.type, content_type=message.content_type)
        except MessageError as error:
            self.result.left.append(f"{message.message_id or 'a message without id'}: {error}")
            return False
        item = moved_to(self._target, item)
        await self._outbox.send(item)
        self.result.moved.append(item)
        return True
