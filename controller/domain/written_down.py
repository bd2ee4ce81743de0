"""What of a drain's progress must be in the broker before it goes on, and what may die with a worker's process.

A drain's message waits unacknowledged at a worker. When that dies, the broker gives the message as it was written to
another one, marked as delivered before. Whoever begins there finds again what the nodes and the event log show: which
instances are the pod's, that one of them is out, whether it is silent, which takes as long as silence takes. It does
not find again which of several it had to doubt, whose override it was, whose heartbeats came after the pod's end, what
stands in the way and since when, or how far a DELETE or the return of an id had come.
"""

from __future__ import annotations

from controller.domain.commands import DrainCommand, Progress, Stage, Target, new_progress
from controller.domain.ownership import names_the_pod

FOUND_AGAIN = frozenset({Stage.take_out, Stage.retain})
"""Stages between which a repetition finds its way by itself."""


def must_be_written(command: DrainCommand, before: Progress | None, after: Progress) -> bool:
    """Return whether ``after`` has what must not die with this process; ``before`` is what is written down."""
    known = before or new_progress(after.first_at)
    earlier = {(one.app, one.id): one for one in known.targets}
    later = {(one.app, one.id): one for one in after.targets}
    if earlier.keys() - later.keys() or _trouble(known) != _trouble(after) or known.doubted != after.doubted:
        return True
    return any(_is_news(command, earlier.get(key), target) for key, target in later.items())


def _is_news(command: DrainCommand, earlier: Target | None, target: Target) -> bool:
    if earlier is None:
        found_again = names_the_pod(target.id, command.pod) and target.stage in FOUND_AGAIN
        return not found_again or _facts(target) != NO_FACTS
    found_again = earlier.stage is target.stage or {earlier.stage, target.stage} <= FOUND_AGAIN
    return not found_again or _facts(target) != _facts(earlier)


def _trouble(what: Progress | Target) -> tuple[object, ...]:
    return what.trouble, what.trouble_since


def _facts(target: Target) -> tuple[object, ...]:
    return target.renewals_after_end, target.last_dirty_at, target.shared_id, target.was_out, *_trouble(target)


NO_FACTS: tuple[object, ...] = ({}, None, False, False, None, None)
