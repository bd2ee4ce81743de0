"""When to look again. Delays are whole seconds at the least one: they travel through the broker's delay ladder."""

from __future__ import annotations

from datetime import datetime, timedelta

LOOK_AGAIN = timedelta(seconds=35)
"""A server's response cache may be 30 s old: only after this is an absent instance 'not registered'."""

LOOKS = (timedelta(seconds=2), timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20))
SETTLE = timedelta(seconds=3)
"""How long after a DELETE replication may still bring the instance back: measured below 1 s between two nodes."""

LONGEST_POSTPONEMENT = timedelta(minutes=5)


def backoff(attempt: int, longest: timedelta) -> timedelta:
    """How long to wait after this attempt (1 for the first): 1, 2, 4 … seconds, at most ``longest``."""
    return min(timedelta(seconds=2 ** min(attempt - 1, 16)), longest)


def next_look(first_look_at: datetime, now: datetime) -> timedelta | None:
    """How long until the index is asked again for an instance it did not show; None when it was asked long enough."""
    waited = now - first_look_at
    if waited >= LOOK_AGAIN:
        return None
    planned = timedelta(0)
    for look in LOOKS:
        planned += look
        if planned > waited + timedelta(seconds=1):
            return planned - waited
    return timedelta(seconds=1)


def first_retire_look(now: datetime, end_at: datetime, retention: timedelta, silence: timedelta) -> datetime:
    """When to note the renewal times, so that silence is proved just as the retention ends.

    Not before the pod's end: until then it may heartbeat.
    """
    return max(now, end_at, end_at + retention - silence)


def postponement(silence: timedelta, attempt: int) -> timedelta:
    """How long to wait for a process that still heartbeats: longer each time, at most five minutes."""
    return min(silence * min(attempt, 8), max(LONGEST_POSTPONEMENT, silence))
