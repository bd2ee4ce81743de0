"""What was removed while nobody watched: the API server remembers it for minutes, if one knows from where to ask.

A list shows what is terminating, but a pod that was deleted outright, or that ended in the meantime, is in no list. So
a watch notes in the broker how far it has come, each time that nothing waits for the broker's confirmation; and whoever
starts next asks for the removals since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loguru import logger

from controller.domain.causes import Cause
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.position import Position
from controller.domain.routing import Publish, Routing, make_commands
from controller.domain.tracking import Tracker
from controller.errors import BrokerError, KubernetesError
from controller.flows.end_publisher import EndPublisher, contain_errors_about
from controller.flows.ports import Clock, EventLog, Outbox, PodFeed
from controller.flows.steps import wait_for_log

RECORD_INTERVAL = 0.5
"""Seconds between two notes, at least."""


class Resume:
    """Takes up where another watch has ended, and notes how far this one has come."""

    def __init__(
        self,
        *,
        feeds: Sequence[PodFeed],
        tracker: Tracker,
        ends: EndPublisher,
        ledger: Ledger,
        log: EventLog,
        positions: EventLog,
        outbox: Outbox,
        routing: Routing,
        clock: Clock,
    ) -> None:
        self._feeds = feeds
        self._tracker = tracker
        self._ends = ends
        self._ledger = ledger
        self._log = log
        self._positions = positions
        self._outbox = outbox
        self._routing = routing
        self._clock = clock
        self._last: Position | None = None
        self._resumed = False

    def told(self, position: Position) -> None:
        """The broker tells how far some watch has come."""
        newer = self._last is None or position.at > self._last.at
        if position.cluster == self._routing.cluster and newer and not self._resumed:
            self._last = position

    async def take_up(self) -> bool:
        """After the first lists: note what was removed since the last position; whether anything was."""
        await self._positions.wait_until_read()
        found = False
        for feed in self._feeds:
            since = self._last.versions.get(feed.scope) if self._last else None
            if since:
                found = await self._removed_since(feed, since) or found
        self._resumed = True
        return found

    async def _removed_since(self, feed: PodFeed, version: str) -> bool:
        log = logger.bind(namespace=feed.scope or "(all)", since=version)
        try:
            removed = await feed.removed_since(version)
        except KubernetesError as error:
            log.bind(error=str(error)).warning("what was removed while nobody watched is not known; the sweep finds it")
            return False
        if not await wait_for_log(self._log):
            log.warning("the event log cannot be read; some drains may be sent once more")
        for one in removed:
            with contain_errors_about(one.pod):
                self._ends.removed(one.pod, one.stay, seen=False)
        missed = [one.pod for one in removed if not self._is_answered(one.pod)]
        log.bind(removed=len(removed), missed=len(missed)).info("asked what was removed while nobody watched")
        for pod in missed:
            self._tracker.removed(pod, self._clock())
        return bool(missed)

    def _is_answered(self, pod: Pod) -> bool:
        """Whether a worker has taken this pod's drains up, after an earlier watch sent them."""
        decisions = make_commands(pod, Cause.deleted, self._clock(), self._routing)
        return all(
            isinstance(decision, Publish) and self._ledger.is_answered(decision.command.drain_id)
            for decision in decisions
        )

    async def keep_recording(self) -> None:
        """Keep the position up to date."""
        noted: dict[str, str] = {}
        while True:
            versions = {feed.scope: feed.version for feed in self._feeds}
            if versions != noted and self._resumed and not self._tracker.backlog and all(versions.values()):
                position = Position(cluster=self._routing.cluster, at=self._clock(), versions=versions)
                try:
                    await self._outbox.record_position(position)
                except BrokerError as error:
                    logger.bind(error=str(error)).debug("position not noted")
                else:
                    noted = versions
            await asyncio.sleep(RECORD_INTERVAL)
