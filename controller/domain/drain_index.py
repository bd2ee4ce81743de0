"""Many drains, from the event log: a bounded fold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from controller.domain.drain_record import DrainRecord, new_record
from controller.domain.events import Event
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd

MAX_DRAINS = 50_000
"""Drains; one takes about 3 kB."""


class DrainIndex:
    """Folds events into drains. Beyond ``limit`` the one that nothing was told of for longest is forgotten."""

    def __init__(self, *, cluster: str = "", timelines: bool = False, limit: int = MAX_DRAINS) -> None:
        self._cluster = cluster
        self._timelines = timelines
        self._limit = limit
        self._records: OrderedDict[str, DrainRecord] = OrderedDict()
        self._ends: OrderedDict[str, PodEnd] = OrderedDict()
        """Of drains that nothing was told of yet: the two streams are read side by side."""
        self.forgotten = 0
        self.events = 0

    def apply(self, event: Event) -> DrainRecord | None:
        """Take the next event of the log; the drain that it changed."""
        if self._cluster and event.cluster != self._cluster:
            return None
        self.events += 1
        record = self._records.get(event.drain_id)
        if record is None:
            record = self._records[event.drain_id] = new_record(event)
            record.end = self._ends.pop(event.drain_id, None)
            if len(self._records) > self._limit:
                self._records.popitem(last=False)
                self.forgotten += 1
        if not record.apply(event, timeline=self._timelines):
            return None
        self._records.move_to_end(event.drain_id)
        return record

    def apply_end(self, end: PodEnd) -> list[DrainRecord]:
        """Take the end of a pod; the drains that it changed."""
        if self._cluster and end.cluster != self._cluster:
            return []
        changed = []
        for drain_id in end.drain_ids:
            record = self._records.get(drain_id)
            if not _is_news(end, record.end if record is not None else self._ends.get(drain_id)):
                continue
            if record is not None:
                record.end = end
                changed.append(record)
                continue
            self._ends[drain_id] = end
            if len(self._ends) > self._limit:
                self._ends.popitem(last=False)
        return changed

    def get(self, drain_id: str) -> DrainRecord | None:
        """One drain."""
        return self._records.get(drain_id)

    def select(self, selection: Selection) -> list[DrainRecord]:
        """The drains that are wanted, by when their pods began to go."""
        found = [record for record in self._records.values() if selection.wants(record)]
        return sorted(found, key=lambda record: record.since_at or record.began_at)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[DrainRecord]:
        return iter(self._records.values())


def _is_news(end: PodEnd, known: PodEnd | None) -> bool:
    """Every replica of the watch tells it; one of them may not have been there to see."""
    return known is None or (known.ended_at is None and end.ended_at is not None)
