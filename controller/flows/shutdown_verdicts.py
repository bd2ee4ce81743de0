"""What is said of each drained pod's leave, as soon as both streams have told enough of it, and once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict, shutdown_of

MAX_VERDICTS = 50_000
"""Drains whose verdict has been told."""


class ShutdownVerdicts:
    """Reads the events and the pods' ends into a history, and hands each verdict on."""

    def __init__(self, history: DrainIndex, judged: Callable[[DrainRecord, Shutdown], object]) -> None:
        self._history = history
        self._judged = judged
        self._told: OrderedDict[str, bool] = OrderedDict()
        """Whether somebody had seen the end that the verdict was told of."""

    def apply(self, event: Event) -> None:
        """Take the next event of the log."""
        record = self._history.apply(event)
        if record is not None:
            self._judge(record)

    def apply_end(self, end: PodEnd) -> None:
        """Take the next pod's end."""
        for record in self._history.apply_end(end):
            self._judge(record)

    def _judge(self, record: DrainRecord) -> None:
        # A pod that was never registered is judged when it has gone, as any other.
        end = record.end
        seen_before = self._told.get(record.drain_id)
        if end is None or seen_before:
            return
        shutdown = shutdown_of(record)
        # Another replica may have seen the end that one has missed: then more is said of it.
        if shutdown.grace is ShutdownVerdict.to_come or (
            seen_before is not None and shutdown.grace is ShutdownVerdict.unjudged
        ):
            return
        self._told[record.drain_id] = end.ended_at is not None
        if len(self._told) > MAX_VERDICTS:
            self._told.popitem(last=False)
        self._judged(record, shutdown)
