"""Since when a pod is over: what its node reports, else what the API server shows of its object. Pure.

Three things are not the same: its deadline, the moment when its end was seen, and its end. What registers with a pod's
signs after its end is somebody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.causes import NODE_LOST, Cause
from controller.domain.pods import Pod

TIME_RESOLUTION = timedelta(seconds=1)
"""The API's times are whole seconds, cut off: what ended then may have ended this much later."""
REMOVED = frozenset({Cause.deleted, Cause.vanished})
"""Causes after which a pod's object is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A pod is over."""

    at: datetime
    """The last moment at which it may still have run."""
    proved: bool
    """Its node has reported that all its containers ended."""


def gone_of(pod: Pod, cause: Cause, now: datetime, *, seen_until: datetime | None = None) -> Gone | None:
    """Return since when a pod is over; None while it may run.

    ``seen_until``: when its object was certainly there, where nobody saw it go. Then it is over since, and not only
    since that was found out: its address may have been another pod's for minutes.
    """
    if pod.ended_at is not None:
        return Gone(at=_at_latest(pod.ended_at, now), proved=True)
    if cause in REMOVED:
        return Gone(at=now if seen_until is None else _last_seen(pod, seen_until, now), proved=False)
    if pod.finished and not pod.started and pod.disruption not in NODE_LOST:
        # Evicted: its node says so, and nothing of its containers.
        return Gone(at=now, proved=False)
    return None


def _at_latest(end: datetime, now: datetime) -> datetime:
    """Return until when that may have been; as a difference first, for a time may be the last there is."""
    return now if now - end < TIME_RESOLUTION else end + TIME_RESOLUTION


def _last_seen(pod: Pod, seen_until: datetime, now: datetime) -> datetime:
    """Return when its object was there for the last time, as far as its last state shows that."""
    known = [seen_until, *(at for at in (pod.created_at, pod.deletion_asked_at) if at is not None)]
    return min(max(known), now)
