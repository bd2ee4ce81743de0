"""Drained pods that are not there, and whose end no log has: recorded by whoever finds them missing.

No watch has seen such an end, or the only one that had was lost with its log. Their drains would never learn that what
heartbeats under their ids is somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from loguru import logger

from controller.domain.bounded_map import BoundedMap
from controller.domain.events import make_missing_event
from controller.domain.held_instances import HeldInstance
from controller.domain.ledger import Ledger
from controller.domain.tracking import Tracker
from controller.errors import KubernetesError
from controller.flows.ports import Clock, PodFeed
from controller.flows.publisher import Publisher

ROUND_INTERVAL = 60.0
"""Seconds between two looks."""
MISSING_AFTER = timedelta(minutes=5)
"""How long ago a pod must have begun to go: until then whoever sees its end records it."""
MAX_QUESTIONS = 100
"""To the API server in one look."""
MAX_RECORDED = 100_000
"""Pods whose end was recorded here."""


class MissingPods:
    """Looks through what the drains of one cluster hold, and asks the API server for each pod that no watch has."""

    def __init__(
        self, *, feeds: Sequence[PodFeed], tracker: Tracker, ledger: Ledger, publisher: Publisher, clock: Clock
    ) -> None:
        self._feeds = {feed.scope: feed for feed in feeds}
        self._tracker = tracker
        self._ledger = ledger
        self._publisher = publisher
        self._clock = clock
        self._recorded: BoundedMap[str, None] = BoundedMap(MAX_RECORDED)

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(ROUND_INTERVAL)
            unknown = self._ledger.held_of_unknown_end(self._clock() - MISSING_AFTER)
            for held in list(filter(self._is_to_be_asked_for, unknown))[:MAX_QUESTIONS]:
                try:
                    await self._look(held)
                except KubernetesError as error:
                    log = logger.bind(pod=f"{held.namespace}/{held.pod}", error=str(error))
                    log.debug("nobody can say whether a drained pod is there")

    def _is_to_be_asked_for(self, held: HeldInstance) -> bool:
        is_known = self._tracker.has(held.uid) or self._tracker.gone(held.uid) is not None
        return not is_known and held.uid not in self._recorded

    async def _look(self, held: HeldInstance) -> None:
        feed = self._feeds.get(held.namespace) or self._feeds.get("")
        if feed is None or await feed.has(held.namespace, held.pod, held.uid):
            return
        self._recorded[held.uid] = None
        self._publisher.note(make_missing_event(held, self._ledger.cluster, self._clock()))
