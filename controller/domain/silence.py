"""Silence: what proves that no process heartbeats behind a registration any more.

A renewal time that stays the same at every node, for longer than the heartbeat's interval, is the only proof there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from controller.domain.commands import Target
from controller.domain.instances import STOCK_RENEWAL_INTERVAL, Reading, Readings, present
from controller.domain.ownership import CLOCK_SKEW


def renewals(readings: Iterable[Reading]) -> dict[str, datetime]:
    """Return the last renewal at each node that holds the instance."""
    return {
        reading.node: reading.instance.renewed_at
        for reading in readings
        if reading.instance is not None and reading.instance.renewed_at is not None
    }


def silence_of(renewal_interval: timedelta) -> timedelta:
    """Return how far apart two equal renewal times must be to prove that no heartbeat came."""
    interval = renewal_interval if renewal_interval > timedelta(0) else STOCK_RENEWAL_INTERVAL
    return interval + timedelta(seconds=5)


def silence_needed(target: Target, readings: Readings) -> timedelta:
    """Return how long every node must show the same renewal, or none, to prove that no heartbeat came."""
    intervals = [instance.renewal_interval for instance in present(readings)]
    return max(silence_of(interval) for interval in intervals or [target.renewal_interval])


def may_heartbeat(target: Target, readings: Readings, now: datetime) -> bool:
    """Return whether the process behind it may still be alive.

    A renewal time is the node's own, up to 90 s ahead of the renewal itself, never behind it.
    """
    instances = present(readings)
    since = target.silent_since if target.renewals and target.renewals == renewals(readings) else None
    if since is not None and now - since >= silence_needed(target, readings):
        return False
    return any(
        instance.renewed_at is None
        or now + instance.clock_ahead - instance.renewed_at < silence_of(instance.renewal_interval) + CLOCK_SKEW
        for instance in instances
    )


def has_renewed(target: Target, readings: Readings) -> bool:
    """Return whether some node shows another renewal than the one that was noted there, or one where none was."""
    return any(target.renewals.get(node) != at for node, at in renewals(readings).items())


def heartbeats_again(target: Target, readings: Readings) -> bool:
    """Return whether a process that was proved silent has renewed since."""
    return bool(target.renewals) and has_renewed(target, readings)
