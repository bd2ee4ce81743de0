"""What one step of one instance leads to, and the settings that steps go by."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from controller.domain.annotations import annotated_window
from controller.domain.commands import DrainCommand, Progress, Stage, Target
from controller.domain.events import Event, Outcome, make_event
from controller.domain.guard import GuardPolicy
from controller.domain.intervals import REPLICATION_INTERVAL, backoff
from controller.domain.shutdown.window import STOCK, Windows
from controller.domain.stages import Readings, is_hopeless, present, trouble_of
from controller.flows.ports import EventLog, Registry

LOG_TIMEOUT = 5.0
"""Seconds. A log is read in a moment after a start."""
EARLY_TOLERANCE = timedelta(milliseconds=500)
"""A step that comes back this much before its time is taken as on time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings of a worker."""

    retention: timedelta
    remove: bool = True
    give_up_after: timedelta = timedelta(hours=1)
    max_backoff: timedelta = timedelta(seconds=15)
    index_age: timedelta = timedelta(seconds=20)
    """How old the shared index may be for the first look."""
    instance_id_templates: tuple[str, ...] = ()
    concurrency: int = 32
    """Instances that are written at a time."""
    guard: GuardPolicy = field(default_factory=GuardPolicy)
    windows: Windows = STOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """Go on with this target when it is due."""

    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Nothing more to do for this instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """To the dead letters with it."""

    target: Target
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How a step ended, and what it has to tell."""

    ending: Next | Ended | GivenUp
    events: tuple[Event, ...] = ()


async def wait_for_log(log: EventLog) -> bool:
    """Wait for the log to be read, for as long as anybody may be kept waiting by it."""
    try:
        async with asyncio.timeout(LOG_TIMEOUT):
            await log.wait_until_read()
    except TimeoutError:
        return False
    return True


def new_progress(now: datetime) -> Progress:
    """The progress of an order that is taken up."""
    return Progress(first_at=now, due_at=now)


def delayed(progress: Progress, trouble: str, now: datetime, policy: Policy) -> Progress | None:
    """Something stands in the way of a whole order: when to come back, or None when it has lasted too long."""
    since = progress.trouble_since or now
    if now - since >= policy.give_up_after:
        return None
    wait = backoff(progress.attempt, policy.max_backoff)
    return replace(progress, attempt=progress.attempt + 1, trouble=trouble, trouble_since=since, due_at=now + wait)


def safe_at(command: DrainCommand, target: Target, since_at: datetime, policy: Policy, registry: Registry) -> datetime:
    """When no caller uses the instance any more that has been out of service at the last node since then."""
    windows, told = policy.windows, registry.cache_age
    window = windows.of(target.app, command.region, said=annotated_window(command.pod), told=told)
    return since_at + window.length


def retry_or_fail(
    command: DrainCommand, target: Target, readings: Readings, now: datetime, policy: Policy, trouble: str = ""
) -> Step:
    """Something stands in the way: tell it once, come back later, and give up when it lasts too long."""
    trouble = trouble or trouble_of(readings)
    since = target.trouble_since or now
    attempt = target.attempt + 1
    if now - since >= policy.give_up_after or is_hopeless(readings, target.attempt):
        failed = make_event(command, Outcome.failed, now, reason=trouble, target=target, nodes=readings)
        # A dead letter starts afresh when it is requeued: the person who does so has mended something.
        fresh = replace(target, attempt=1, trouble="", trouble_since=None, due_at=now)
        return Step(ending=GivenUp(target=fresh, why=trouble), events=(failed,))
    events: tuple[Event, ...] = ()
    if trouble != target.trouble:
        events = (make_event(command, Outcome.requested, now, reason=trouble, target=target, nodes=readings),)
    wait = backoff(target.attempt, policy.max_backoff)
    later = replace(target, attempt=attempt, trouble=trouble, trouble_since=since, due_at=now + wait)
    if present(readings) and not target.renewals:
        later = replace(later, looked_at=None)  # it has not stayed away
    return Step(ending=Next(target=later), events=events)


def untroubled(target: Target, **changes: Any) -> Target:
    """Carry the target on; whatever stood in its way does so no longer."""
    return replace(target, trouble="", trouble_since=None, **changes)


def in_doubt(step: Step, target: Target, now: datetime) -> Step:
    """What a step that was delivered before leads to, when it finds the instance gone.

    Its first handling may have gone on to the DELETE: then ``already_gone`` would contradict that one's ``removed``.
    """
    gone = any(event.outcome is Outcome.already_gone for event in step.events)
    if target.stage is Stage.retire and gone:
        return Step(ending=Next(target=replace(target, stage=Stage.delete, due_at=now + REPLICATION_INTERVAL)))
    return step
