"""Silence: what proves that no process heartbeats behind a registration any more.

A renewal time that stays the same at every node, for longer than the heartbeat's interval, is the only proof there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from controller.domain.commands import Target
from controller.domain.instances import STOCK_RENEWAL_INTERVAL, Reading, Readings, present
from controller.domain.intervals import REPLICATION_TIMEOUT
from controller.domain.ownership import CLOCK_SKEW

MAX_UNWATCHED = timedelta(minutes=5)
"""How late a look may come that still continues the one before it: a worker that has much to do is minutes late."""
MAX_INTERVAL = timedelta(days=1)
"""No client renews less often; a time that a message makes up cannot be reckoned with."""
WRITE_SETTLES_AFTER = timedelta(seconds=10)
"""How long after we set a status every node has renewed the lease for it: peers pass it on within about a second."""


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
    return min(interval, MAX_INTERVAL) + timedelta(seconds=5)


def silence_needed(target: Target, readings: Readings) -> timedelta:
    """Return how long every node must show the same renewal, or none, to prove that no heartbeat came."""
    intervals = [instance.renewal_interval for instance in present(readings)]
    return max(silence_of(interval) for interval in intervals or [target.renewal_interval])


def note_silence(target: Target, readings: Readings, now: datetime) -> Target:
    """Note what the nodes show, and since when."""
    found = renewals(readings)
    if target.silent_since is not None and target.renewals == found:
        return target
    return replace(target, renewals=found, silent_since=now)


def unless_unheard(target: Target, readings: Readings, now: datetime, *, unheard_at: datetime | None) -> Target:
    """Forget since when it is silent where no node answers: none may have been there to take a heartbeat.

    A living process makes itself heard within a heartbeat's time after the first node has come back. The same where
    nobody has looked for minutes, because no worker was there: the nodes may have been away with it. And where none
    answered in between, at ``unheard_at``, which the region's lookout has noticed.
    """
    was_looked_at = now - target.due_at <= MAX_UNWATCHED
    was_heard = unheard_at is None or target.silent_since is None or unheard_at < target.silent_since
    if was_looked_at and was_heard and any(reading.answered for reading in readings):
        return target
    return replace(target, silent_since=None)


def is_silent(target: Target, readings: Readings, now: datetime) -> bool:
    """Return whether it is proved that nobody heartbeats under the id, whoever registered what the nodes show."""
    return all(reading.answered for reading in readings) and _is_noted_silent(target, readings, now)


def _is_noted_silent(target: Target, readings: Readings, now: datetime) -> bool:
    """Return whether the renewals that were noted have stayed the same for long enough."""
    since = target.silent_since if target.renewals and target.renewals == renewals(readings) else None
    return since is not None and now - since >= silence_needed(target, readings)


def may_heartbeat(target: Target, readings: Readings, now: datetime) -> bool:
    """Return whether the process behind it may still be alive.

    A renewal time is the node's own, up to 90 s ahead of the renewal itself, never behind it.
    """
    if _is_noted_silent(target, readings, now):
        return False
    return any(
        instance.renewed_at is None
        or now + instance.clock_ahead - instance.renewed_at < silence_of(instance.renewal_interval) + CLOCK_SKEW
        for instance in present(readings)
    )


def has_renewed(target: Target, readings: Readings) -> bool:
    """Return whether some node shows another renewal than the one that was noted there, or one where none was."""
    return any(target.renewals.get(node) != at for node, at in renewals(readings).items())


def has_renewed_everywhere(target: Target, readings: Readings) -> bool:
    """Return whether every node that shows it shows another renewal than the one that was noted there."""
    return all(target.renewals.get(node) != at for node, at in renewals(readings).items())


def is_complete(readings: Readings, ended_at: datetime | None, now: datetime) -> bool:
    """Return whether no node that does not answer may still pass on what came before the pod's end."""
    return all(reading.answered for reading in readings) or (
        ended_at is not None and now - ended_at > REPLICATION_TIMEOUT
    )


def renews_after_end(target: Target, readings: Readings) -> bool:
    """Return whether every node that shows it shows a heartbeat that came after the pod's end.

    Every node must show one: what a single node passes on late, or only now, changes that node alone. And a lease that
    a node has only copied has never been renewed.
    """
    instances = present(readings)
    return (
        bool(target.renewals_after_end and instances)
        and all(instance.has_renewed for instance in instances)
        and all(target.renewals_after_end.get(node) != at for node, at in renewals(readings).items())
    )


def may_note_renewals(target: Target, readings: Readings, now: datetime) -> bool:
    """Return whether what the nodes show now is settled: all that we have written has reached every node."""
    written_at = target.written_at
    return bool(renewals(readings)) and (written_at is None or now >= written_at + WRITE_SETTLES_AFTER)


def heartbeats_again(target: Target, readings: Readings) -> bool:
    """Return whether a process that was proved silent has renewed since."""
    return bool(target.renewals) and has_renewed(target, readings)
