"""How far the watches of one cluster have come, as they note it in the broker."""

from __future__ import annotations

from loguru import logger

from controller.domain.watch_position import Position
from controller.errors import BrokerError
from controller.flows.ports import Clock, EventLog, Outbox


class Positions:
    """Reads where another watch has ended, and notes how far this one has come."""

    def __init__(self, *, cluster: str, follower: EventLog, outbox: Outbox, clock: Clock) -> None:
        self._cluster = cluster
        self._follower = follower
        self._outbox = outbox
        self._clock = clock
        self._last: Position | None = None
        self._frozen = False

    def apply(self, position: Position) -> None:
        """Take the next position of the stream; only those of earlier watches count."""
        newer = self._last is None or position.at > self._last.at
        if position.cluster == self._cluster and newer and not self._frozen:
            self._last = position

    async def last(self) -> Position | None:
        """Return how far the last watch had come; None when nobody knows."""
        await self._follower.wait_until_read()
        self._frozen = True
        return self._last

    def taken(self, versions: dict[str, str]) -> Position:
        """Return how far this watch has come by now."""
        return Position(cluster=self._cluster, at=self._clock(), versions=versions)

    async def record(self, position: Position) -> bool:
        """Note a position; return whether the broker has confirmed it."""
        try:
            await self._outbox.record_position(position)
        except BrokerError as error:
            logger.bind(error=str(error)).debug("position not recorded")
            return False
        return True
