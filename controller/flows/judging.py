"""What is said of each drained pod's leave, as soon as both streams have told enough of it, and once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from controller.domain.events import Event
from controller.domain.history import History
from controller.domain.leave import Grace, Leave, leave_of
from controller.domain.pod_end import PodEnd
from controller.domain.story import Story

REMEMBERED = 50_000
"""Drains whose verdict has been told."""


class Judging:
    """Reads the events and the pods' ends into a history, and hands each verdict on."""

    def __init__(self, history: History, judged: Callable[[Story, Leave], object]) -> None:
        self._history = history
        self._judged = judged
        self._told: OrderedDict[str, bool] = OrderedDict()
        """Whether somebody had seen the end that the verdict was told of."""

    def note(self, event: Event) -> None:
        """Take the next event of the log."""
        story = self._history.note(event)
        if story is not None:
            self._judge(story)

    def note_end(self, end: PodEnd) -> None:
        """Take the next pod's end."""
        for story in self._history.note_end(end):
            self._judge(story)

    def _judge(self, story: Story) -> None:
        # A pod that was never registered is judged when it has gone, as any other.
        end = story.end
        seen_before = self._told.get(story.drain_id)
        if end is None or seen_before:
            return
        leave = leave_of(story)
        # Another replica may have seen the end that one has missed: then more is said of it.
        if leave.grace is Grace.to_come or (seen_before is not None and leave.grace is Grace.unjudged):
            return
        self._told[story.drain_id] = end.ended_at is not None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._judged(story, leave)
