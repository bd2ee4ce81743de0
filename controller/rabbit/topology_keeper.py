"""Keeps declared what one process needs: at each connect, when a publish meets no queue, and every few seconds.

Somebody may delete any part of it by hand. Most of that is met by a publish that comes back; a lower delay queue, or a
binding, is met by nobody, so everything is looked at regularly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from loguru import logger

from controller.errors import BrokerError, PartsMissingError
from controller.rabbit import names
from controller.rabbit.link import Link, as_broker_error
from controller.rabbit.topology import declare, declare_missing, queues, streams
from controller.rabbit.trouble_log import TroubleLog, is_missing
from controller.settings import BrokerSettings

MIN_INTERVAL = 1.0
"""Seconds between two looks, however many publishes come back."""
LOOK_INTERVAL = 10.0
"""Seconds between two looks that nobody has asked for."""


class TopologyKeeper:
    """Declares over a link's connection, on channels of its own."""

    def __init__(self, *, link: Link, settings: BrokerSettings, regions: Iterable[str]) -> None:
        self._link = link
        self._timeout = settings.timeout.total_seconds()
        self._queues = queues(regions)
        self._streams = streams(settings.events_kept)
        self._one_at_a_time = asyncio.Lock()
        self._looked_at = -MIN_INTERVAL
        self._streams_log = TroubleLog("commands are sent, but what becomes of them may not be recorded")
        self._may_declare = True
        """False where the broker has refused it: then this only looks."""
        self.trouble = "the broker has not been asked yet"
        """What the broker lacks, by the last look."""
        self.streams_trouble = ""
        """Why the logs were not declared at the last connect."""

    def __call__(self) -> bool:
        """Return whether all of it was there at the last look: a check of readiness."""
        return not self.trouble

    async def declare_all(self) -> None:
        """Declare everything; where we may not, look whether it is there.

        Commands do not wait for a log that cannot be declared, nor for a part of the queues that another account has to
        declare; that is logged.
        """
        async with self._link.spare_channel() as channel:
            queues_trouble = self.streams_trouble = ""
            try:
                self._may_declare = await declare(channel, self._queues)
            except PartsMissingError as error:
                self._may_declare, queues_trouble = False, str(error)
                if names.COMMANDS in error.names:
                    self.trouble = queues_trouble
                    raise
            try:
                with as_broker_error("the logs are not declared"):
                    async with asyncio.timeout(self._timeout):
                        await declare(channel, self._streams)
            except BrokerError as error:
                self.streams_trouble = str(error)
                self._streams_log.note(error, self.streams_trouble)
            else:
                self._streams_log.over()
        self.trouble = "; ".join(filter(None, (queues_trouble, self.streams_trouble)))

    async def declare_missing(self) -> None:
        """Declare what is missing, unless that was just done. BrokerError names what cannot be declared."""
        async with self._one_at_a_time:
            now = asyncio.get_running_loop().time()
            if now - self._looked_at < MIN_INTERVAL:
                return
            self._looked_at = now
            troubles: list[BrokerError] = []
            for things in (self._queues, self._streams):
                try:
                    with as_broker_error("not declared"):
                        async with asyncio.timeout(self._timeout), self._link.spare_channel() as channel:
                            missing = await declare_missing(channel, things, bind=self._may_declare)
                except BrokerError as error:
                    troubles.append(error)
                else:
                    if missing:
                        logger.bind(names=missing).warning("somebody has deleted these; declared again")
            self.trouble = "; ".join(map(str, troubles))
            if troubles:
                # What is only not declared yet is waited for; anything else is trouble.
                raise BrokerError(self.trouble) from min(troubles, key=is_missing)

    async def run(self) -> None:
        """Look again and again, for ever."""
        trouble_log = TroubleLog("the broker lacks what we need")
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            if not self._link.up:
                continue
            try:
                await self.declare_missing()
            except BrokerError as error:
                trouble_log.note(error, str(error))
            else:
                trouble_log.over()
