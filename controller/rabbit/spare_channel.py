"""A channel for questions that the broker may answer with its end: what it refuses is asked on, on a new one."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

Answer = TypeVar("Answer")


class SpareChannel:
    """A channel of this connection, opened when it is first used, and again after each failure."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None

    async def __aenter__(self) -> SpareChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def ask(self, question: Callable[[AbstractChannel], Awaitable[Answer]]) -> Answer:
        """Ask on it, with whatever the client library raises."""
        if self._channel is None:
            self._channel = await self._connection.channel(publisher_confirms=False)
        try:
            return await question(self._channel)
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and not channel.is_closed:
            with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, TimeoutError):
                await channel.close()
