"""The verdict on each drained pod's shutdown, as soon as both streams say enough of it, and once."""

from __future__ import annotations

from collections.abc import Callable

from controller.domain.bounded_map import BoundedMap
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import LogEntry
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict, shutdown_of

MAX_VERDICTS = 50_000
"""Drains whose verdict has been reported."""


class ShutdownVerdicts:
    """Reads the events and the pods' ends into an index, and reports each verdict."""

    def __init__(self, index: DrainIndex) -> None:
        self._index = index
        self.readers: list[Callable[[DrainRecord, Shutdown], object]] = []
        """Who is given each verdict."""
        self._reported: BoundedMap[str, bool] = BoundedMap(MAX_VERDICTS)
        """Whether somebody had seen the end that the verdict was about."""

    def apply(self, entry: LogEntry) -> None:
        """Take the next entry of the log."""
        record = self._index.apply(entry)
        if record is not None:
            self._check(record)

    def apply_end(self, end: PodEnd) -> None:
        """Take the next pod's end."""
        for record in self._index.apply_end(end):
            self._check(record)

    def _check(self, record: DrainRecord) -> None:
        # A pod that was never registered gets its verdict when it has gone, as any other.
        end = record.end
        seen_before = self._reported.get(record.drain_id)
        if end is None or seen_before:
            return
        shutdown = shutdown_of(record)
        # Another replica may have seen the end that one has missed: then the verdict says more.
        if shutdown.verdict is ShutdownVerdict.pending or (
            seen_before is not None and shutdown.verdict is ShutdownVerdict.not_judged
        ):
            return
        self._reported[record.drain_id] = end.ended_at is not None
        for read in self.readers:
            read(record, shutdown)
