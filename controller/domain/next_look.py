"""When is an instance looked at again that is out of service? See docs/decisions/looking-again.md."""

from __future__ import annotations

from datetime import datetime, timedelta

from controller.domain.commands import Stage
from controller.domain.intervals import HEARTBEAT_CHECK_INTERVAL, UNNAMED_ID_INTERVAL, WATCHED_INTERVAL
from controller.domain.ownership import names_the_pod
from controller.domain.silence import silence_needed
from controller.domain.stage_decisions import Observation

MAX_LEASE_WAIT = timedelta(hours=1)
"""How long what is not to be deleted is looked at once it is silent. Leases end after 90 s; not at all, and perhaps for
long, where a server preserves itself."""


def silent_at(seen: Observation) -> datetime:
    """Return when the silence is proved that has been noted, if it lasts."""
    assert seen.target.silent_since is not None
    return seen.target.silent_since + silence_needed(seen.target, seen.readings)


def over_at(seen: Observation) -> datetime:
    """Return when the retention is over, if the silence lasts."""
    silent = silent_at(seen)
    if not seen.remove:
        # Whoever registers under the id before its lease is over inherits our override.
        return silent + MAX_LEASE_WAIT
    return max(silent, min(seen.command.end_at, silent) + seen.retention)


def next_look_in(seen: Observation) -> timedelta:
    """Return how long to wait: a process that may be alive may register again, and others may take over its id."""
    silent, is_watched_over = silent_at(seen), seen.is_watched_over and seen.target.stage is Stage.retain
    is_listened_to = seen.now < silent
    left = (silent if is_listened_to else over_at(seen)) - seen.now
    if is_watched_over:
        longest = WATCHED_INTERVAL
    else:
        longest = HEARTBEAT_CHECK_INTERVAL if is_listened_to else silence_needed(seen.target, seen.readings)
    return min(left, longest if names_the_pod(seen.target.id, seen.command.pod) else UNNAMED_ID_INTERVAL)
