"""Does what was taken out stay out, in the hands that it was in? Decided from one look, beside the drain's own ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from controller.domain.commands import CACHE_TIMEOUT, DrainCommand, Stage, Target
from controller.domain.instances import Condition, Instance, Readings, as_left_out, dirty_at, present
from controller.domain.intervals import HEARTBEAT_CHECK_INTERVAL
from controller.domain.silence import renewals, silence_of


def is_kept_out(target: Target) -> bool:
    """Return whether it is out of service by its drain's last look, and nothing stands in the drain's way."""
    return target.stage is Stage.retain and bool(target.renewals) and target.trouble is None


def may_be_heard_of(target: Target, now: datetime) -> bool:
    """Return whether its silence is not proved yet: it may register again, or others heartbeat under its id."""
    since = target.silent_since
    return since is None or now - since < silence_of(target.renewal_interval)


def unwatched(command: DrainCommand, now: datetime) -> DrainCommand:
    """Return a command that nobody watches over: what it keeps out is due as soon as it has to look by itself."""
    progress = command.progress
    if progress is None:
        return command
    targets = [_due_unwatched(one, now) if is_kept_out(one) else one for one in progress.targets]
    return replace(command, progress=progress.with_targets(targets) if targets else progress)


def _due_unwatched(target: Target, now: datetime) -> Target:
    wait = HEARTBEAT_CHECK_INTERVAL if may_be_heard_of(target, now) else silence_of(target.renewal_interval)
    return replace(target, due_at=min(target.due_at, now + wait))


def stays_out(command: DrainCommand, target: Target, readings: Readings) -> bool:
    """Return whether every node still shows what the drain saw last. Each of them must have answered.

    Heartbeats are the pod's own while it may run. Once it has ended they are somebody else's.
    """
    shown = as_left_out(readings) if target.was_out else readings
    if any(one.condition is Condition.in_service for one in shown) or len(present(shown)) < len(target.renewals):
        return False
    if target.dirty_at is not None and dirty_at(readings) != target.dirty_at:
        return False
    may_heartbeat = not command.end_proved and not target.renewals_after_end
    return may_heartbeat or target.renewals == renewals(readings)


def contradicts(command: DrainCommand, target: Target, listed: Instance, asked_at: datetime) -> bool:
    """Return whether a node's list, asked for at that time, shows that it does not stay out.

    A list comes from the server's cache: a young one may still show what was there before the instance was taken out.
    """
    began_at = command.progress.first_at if command.progress else command.observed_at
    out_since = max(began_at, target.written_at or began_at)
    if asked_at - CACHE_TIMEOUT < out_since:
        return False
    return listed.is_up or (target.dirty_at is not None and listed.dirty_at != target.dirty_at)
