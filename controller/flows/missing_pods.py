"""Drained pods that are not there, and whose end no log has: recorded by whoever finds them missing.

No watch has seen such an end, or the only one that had was lost with its log. Their drains would never learn that what
heartbeats under their ids is somebody else.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from controller.domain.events import make_missing_event
from controller.domain.ledger import Ledger
from controller.domain.tracking import Tracker
from controller.flows.ports import Clock
from controller.flows.publisher import Publisher
from controller.flows.watch import Watch

ROUND_INTERVAL = 60.0
"""Seconds between two looks."""
MISSING_AFTER = timedelta(minutes=5)
"""How long ago a pod must have begun to go that is called missing: this watch's API server may lag behind another's."""


class MissingPods:
    """Looks through what the drains of one cluster hold."""

    def __init__(self, *, watch: Watch, tracker: Tracker, ledger: Ledger, publisher: Publisher, clock: Clock) -> None:
        self._watch = watch
        self._tracker = tracker
        self._ledger = ledger
        self._publisher = publisher
        self._clock = clock

    async def run(self) -> None:
        """Look again and again, for ever. An end that is written twice changes nothing."""
        while True:
            await asyncio.sleep(ROUND_INTERVAL)
            now = self._clock()
            for held in self._ledger.held_of_unknown_end(now - MISSING_AFTER):
                if self._watch.sees(held.namespace) and not self._tracker.has(held.uid):
                    self._publisher.note(make_missing_event(held, self._ledger.cluster, now))
