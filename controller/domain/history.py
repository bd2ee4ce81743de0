"""Many drains, from the event log: a bounded fold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from controller.domain.events import Event
from controller.domain.pod_end import PodEnd
from controller.domain.selection import Selection
from controller.domain.story import Story, begin

REMEMBERED = 50_000
"""Drains; one takes about 3 kB."""


class History:
    """Folds events into drains. Beyond ``limit`` the one that nothing was told of for longest is forgotten."""

    def __init__(self, *, cluster: str = "", timelines: bool = False, limit: int = REMEMBERED) -> None:
        self._cluster = cluster
        self._timelines = timelines
        self._limit = limit
        self._stories: OrderedDict[str, Story] = OrderedDict()
        self._ends: OrderedDict[str, PodEnd] = OrderedDict()
        """Of drains that nothing was told of yet: the two streams are read side by side."""
        self.forgotten = 0
        self.events = 0

    def note(self, event: Event) -> Story | None:
        """Take the next event of the log; the drain that it changed."""
        if self._cluster and event.cluster != self._cluster:
            return None
        self.events += 1
        story = self._stories.get(event.drain_id)
        if story is None:
            story = self._stories[event.drain_id] = begin(event)
            story.end = self._ends.pop(event.drain_id, None)
            if len(self._stories) > self._limit:
                self._stories.popitem(last=False)
                self.forgotten += 1
        if not story.tell(event, timeline=self._timelines):
            return None
        self._stories.move_to_end(event.drain_id)
        return story

    def note_end(self, end: PodEnd) -> list[Story]:
        """Take the end of a pod; the drains that it changed."""
        if self._cluster and end.cluster != self._cluster:
            return []
        changed = []
        for drain_id in end.drain_ids:
            story = self._stories.get(drain_id)
            if not _is_news(end, story.end if story is not None else self._ends.get(drain_id)):
                continue
            if story is not None:
                story.end = end
                changed.append(story)
                continue
            self._ends[drain_id] = end
            if len(self._ends) > self._limit:
                self._ends.popitem(last=False)
        return changed

    def get(self, drain_id: str) -> Story | None:
        """One drain."""
        return self._stories.get(drain_id)

    def select(self, selection: Selection) -> list[Story]:
        """The drains that are wanted, by when their pods began to go."""
        found = [story for story in self._stories.values() if selection.wants(story)]
        return sorted(found, key=lambda story: story.since_at or story.began_at)

    def __len__(self) -> int:
        return len(self._stories)

    def __iter__(self) -> Iterator[Story]:
        return iter(self._stories.values())


def _is_news(end: PodEnd, known: PodEnd | None) -> bool:
    """Every replica of the watch tells it; one of them may not have been there to see."""
    return known is None or (known.ended_at is None and end.ended_at is not None)
