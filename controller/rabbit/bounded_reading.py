"""Reading from the broker with bounds: whoever may publish to it must neither fill our memory nor end our connection.

RabbitMQ hands over whole messages of up to 128 MiB (16 from 4.0 on), and a client can ask for no less. So a body that
is larger than any of ours, or for which there is no room at the moment, is dropped frame by frame while it comes, and
of the headers only those that we read are kept.

Traps in pamqp, each of which ended the connection at every delivery of one message, for ever: a timestamp behind the
year 9999 (milliseconds taken for seconds do it), a text that is no UTF-8, tables within tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp import decode
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from controller.bounds import MAX_BODY_BYTES, MAX_HEADER_LENGTH
from controller.errors import MessageError
from controller.tracing import HEADER

KEPT_HEADERS = ("x-reason", "x-reason-code", "x-stream-offset", "x-first-death-reason", "x-delivery-count", HEADER)
_UNREAD = "x-unread-bytes"
"""A header that no sender can set: the size of a body that was dropped."""

Decoder = Callable[[bytes], tuple[int, Any]]


class ByteRoom:
    """How many bytes of messages may be held at a time."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._changed = asyncio.Event()

    def take(self, size: int) -> bool:
        """Take room for a message, if there is some."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Give back what a message took."""
        self._left += size
        self._changed.set()

    async def wait_for(self, size: int) -> None:
        """Return once there is room for so much; it is not taken."""
        while size > self._left:
            self._changed.clear()
            await self._changed.wait()


class BoundedChannel(aio_pika.Channel):
    """A channel whose messages have bodies of at most ``MAX_BODY_BYTES``, and few headers."""

    room: ByteRoom | None = None
    """Each message that is read takes of it, and its reader gives it back."""

    async def _on_open(self) -> None:
        await super()._on_open()
        assert self._channel is not None
        underlay: Any = self._channel.channel
        read_whole = underlay._read_content

        async def read(frame: Any, header: ContentHeader) -> DeliveredMessage:
            if isinstance(frame, spec.Basic.Return):  # our own
                returned: DeliveredMessage = await read_whole(frame, header)
                return returned
            properties, size = _kept(header.properties), header.body_size
            if size > MAX_BODY_BYTES or not (self.room is None or self.room.take(size)):
                await _drop(underlay, size)
                properties.headers = {**(properties.headers or {}), _UNREAD: size}
                header = ContentHeader(body_size=0)
            header.properties = properties
            message: DeliveredMessage = await read_whole(frame, header)
            return message

        underlay._read_content = read


class BoundedConnection(aio_pika.Connection):
    """A connection of such channels."""

    CHANNEL_CLASS = BoundedChannel

    def __del__(self) -> None:
        """Do nothing. Whoever opened it closes it; the library would begin to do so in whichever thread collects it."""


def unread_bytes(message: AbstractIncomingMessage) -> int:
    """Return how large the body was that was dropped; 0 when it is here. What has none must not be sent on."""
    size = message.headers.get(_UNREAD)
    return size if isinstance(size, int) else 0


def check_read(message: AbstractIncomingMessage) -> None:
    """Raise MessageError when the body was too large to be read."""
    if size := unread_bytes(message):
        raise MessageError(f"the body has {size} bytes, more than {MAX_BODY_BYTES}")


async def _drop(underlay: Any, size: int) -> None:
    """Read a whole body, and keep nothing of it."""
    while size > 0:
        frame = await underlay._get_frame()
        if not isinstance(frame, ContentBody):
            raise ValueError(f"unexpected frame {type(frame).__name__} instead of a body")
        size -= len(frame.value)


def _kept(properties: spec.Basic.Properties) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type=properties.content_type,
        message_id=properties.message_id,
        message_type=properties.message_type,
        timestamp=properties.timestamp,
        headers={
            name: value[:MAX_HEADER_LENGTH] if isinstance(value, str) else value
            for name, value in (properties.headers or {}).items()
            if name in KEPT_HEADERS and isinstance(value, str | int)
        },
    )


def _any_timestamp(value: bytes) -> tuple[int, Any]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError):
        return 8, None


def _any_text(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode("utf-8", "replace")


def _any_table(value: bytes) -> tuple[int, Any]:
    try:
        return decode.field_table(value)
    except (ValueError, OverflowError, RecursionError):
        return int.from_bytes(value[:4], "big") + 4, {}


_TOLERANT: dict[str, Decoder] = {"timestamp": _any_timestamp, "shortstr": _any_text, "table": _any_table}
decode.METHODS.update(_TOLERANT)
decode.TABLE_MAPPING[b"T"] = _any_timestamp
