"""Many drains, from the event log: a bounded fold."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from controller.domain.bounded_map import BoundedMap
from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Event, LogEntry
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd

MAX_DRAINS = 50_000
"""Drains; one takes about 3 kB."""


class DrainIndex:
    """Folds events into drains. Beyond ``limit`` the drain whose newest event is oldest is forgotten."""

    def __init__(
        self,
        *,
        cluster: str = "",
        timelines: bool = False,
        limit: int = MAX_DRAINS,
        ids: Collection[str] = (),
    ) -> None:
        """``ids``: the only drains that are kept; none means all."""
        self._cluster = cluster
        self._ids = frozenset(ids)
        self._timelines = timelines
        self._records: BoundedMap[str, DrainRecord] = BoundedMap(limit)
        self._ends: BoundedMap[str, PodEnd] = BoundedMap(limit)
        """Of drains without any event yet: the two streams are read side by side."""
        self.forgotten = 0
        self.events = 0

    def apply(self, entry: LogEntry) -> DrainRecord | None:
        """Take the next entry of the log, and return the drain that it changed."""
        if self._cluster and entry.cluster != self._cluster:
            return None
        if self._ids and entry.drain_id not in self._ids:
            return None
        self.events += 1
        record = self._records.get(entry.drain_id)
        if record is None:
            if not isinstance(entry, Event):
                return None  # the drain began before the part of the log that is read
            record = new_record(entry)
            record.end = self._ends.pop(entry.drain_id, None)
        if not record.apply(entry, timeline=self._timelines):
            return None
        self.forgotten += len(self._records.put(entry.drain_id, record))
        return record

    def apply_end(self, end: PodEnd) -> list[DrainRecord]:
        """Take the end of a pod, and return the drains that it changed."""
        if self._cluster and end.cluster != self._cluster:
            return []
        changed = []
        for drain_id in self._ids.intersection(end.drain_ids) if self._ids else end.drain_ids:
            record = self._records.get(drain_id)
            if not _is_news(end, record.end if record is not None else self._ends.get(drain_id)):
                continue
            if record is not None:
                record.end = end
                changed.append(record)
            else:
                self._ends[drain_id] = end
        return changed

    def get(self, drain_id: str) -> DrainRecord | None:
        """Return one drain."""
        return self._records.get(drain_id)

    def select(self, selection: Selection) -> list[DrainRecord]:
        """Return the drains that are wanted, by when their pods began to go."""
        found = [record for record in self._records.values() if selection.wants(record)]
        return sorted(found, key=lambda record: record.since_at or record.began_at)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[DrainRecord]:
        return iter(self._records.values())


def _is_news(end: PodEnd, known: PodEnd | None) -> bool:
    """Return whether an end adds to what is known: one replica of the watch may not have been there to see it."""
    return known is None or (known.ended_at is None and end.ended_at is not None)
