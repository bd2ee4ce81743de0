"""How full the queues are, asked in plain AMQP: no management plugin, no further permission."""

from __future__ import annotations

import asyncio
from functools import partial

from aio_pika.abc import AbstractChannel

from controller.domain.region_state import QueueState
from controller.rabbit import names
from controller.rabbit.link import Link, as_broker_error
from controller.settings import BrokerSettings


class QueueCounter:
    """Counts over a link of its own, on channels beside its own: a queue that is not there ends the one that asks."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._one_at_a_time = asyncio.Lock()
        self.link = Link(name="counts", settings=settings, set_up=self._set_up)

    async def _set_up(self, _: AbstractChannel) -> None:
        """Need nothing more."""

    async def count(self, region: str) -> tuple[QueueState, QueueState]:
        """Return the region's queue and its dead letters."""
        async with self._one_at_a_time:
            return await self._count(names.commands_queue(region)), await self._count(names.dead_queue(region))

    async def count_unrouted(self) -> QueueState:
        """Return what waits for regions that nobody has declared."""
        async with self._one_at_a_time:
            return await self._count(names.UNROUTED)

    async def _count(self, name: str) -> QueueState:
        with as_broker_error(f"{name} cannot be counted"):
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await self.link.wait_until_up()
                async with self.link.spare_channel() as spare:
                    return await spare.ask(partial(counted, name=name))


async def counted(channel: AbstractChannel, name: str) -> QueueState:
    """Count a queue that is there; ChannelNotFoundEntity, and the channel's end, when it is not."""
    found = (await channel.declare_queue(name, passive=True)).declaration_result
    return QueueState(messages=found.message_count or 0, consumers=found.consumer_count or 0)
