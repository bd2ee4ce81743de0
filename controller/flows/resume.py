"""What was removed while nobody watched: the API server remembers it for minutes, if it is asked from where on.

A list shows what is terminating, but a pod that was deleted outright, or that ended in the meantime, is in no list. So
a watch notes in the broker how far it has come, once the broker has confirmed the commands that came of it, and what
the event log is told. Whoever starts next asks for the removals since.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from loguru import logger

from controller.errors import KubernetesError
from controller.flows.ports import PodFeed
from controller.flows.positions import Positions
from controller.flows.publisher import Publisher
from controller.flows.resend import Resender
from controller.flows.watch import Watch

RECORD_INTERVAL = 0.5
"""Seconds between two notes, at least."""
LOG_TIMEOUT = 30.0
"""Seconds that the event log may keep a note waiting."""


class Resume:
    """Takes up where another watch has ended, and notes how far this one has come."""

    def __init__(self, *, watch: Watch, positions: Positions, resender: Resender, publisher: Publisher) -> None:
        self._watch = watch
        self._positions = positions
        self._resender = resender
        self._publisher = publisher

    async def run(self) -> None:
        """After the first lists, ask for what was removed since the last position; then keep the position new."""
        await self._watch.all_listed.wait()
        last = await self._positions.last()
        for feed in self._watch.feeds:
            if last is not None and (since := last.versions.get(feed.scope)):
                await self._removed_since(feed, since, seen_until=last.at)
        await self._keep_recording()

    async def _removed_since(self, feed: PodFeed, version: str, *, seen_until: datetime) -> None:
        log = logger.bind(namespace=feed.scope or "(all)", since=version)
        try:
            removed = await feed.removed_since(version)
        except KubernetesError as error:
            log.bind(error=str(error)).warning("what was removed while nobody watched is not known; the sweep finds it")
            return
        if not await self._resender.wait_for_log():
            log.warning("the event log cannot be read; some drains may be sent once more")
        answered = [self._resender.is_answered(one.pod) for one in removed]
        log.bind(removed=len(removed), missed=answered.count(False)).info("asked what was removed while nobody watched")
        for one, is_answered in zip(removed, answered, strict=True):
            self._watch.note_missed(one, answered=is_answered, seen_until=seen_until)

    async def _keep_recording(self) -> None:
        recorded: dict[str, str] = {}
        while True:
            versions = {feed.scope: feed.version for feed in self._watch.feeds}
            is_new = versions != recorded and all(versions.values())
            if is_new and not self._watch.backlog:
                position = self._positions.taken(versions)  # of now: what comes while it waits is not in it
                # A watch that is killed before an end is written must not have passed it. But removals are forgotten
                # by the API server within minutes, and to miss one of those would be worse.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOG_TIMEOUT):
                        await self._publisher.wait_until_noted_is_written()
                if await self._positions.record(position):
                    recorded = versions
            await asyncio.sleep(RECORD_INTERVAL)
