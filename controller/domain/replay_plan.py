"""Replaying drains: from what the log tells to a command, and what would come of it. Pure: flows read and ask here.

A replay is a drain that a person asks for. It goes by the facts of the time when the pod died, so each fence of a drain
holds for it: what stands under the id today is left alone when it is newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.annotations import PodAnnotations
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Target
from controller.domain.drain_record import WHOLE_DRAIN, DrainRecord
from controller.domain.events import FINAL, Outcome
from controller.domain.instances import Condition
from controller.domain.stages import Readings, Settled, TakeOut, check_ownership, decide_take_out, trouble_of


class ReplayAction(StrEnum):
    """What a replay would do about one drain."""

    drain = "would drain"
    refuse = "refused"
    under_way = "under way"
    out = "already out of service"
    superseded = "newer process"
    """A newer process holds the id: it is left alone, and nothing is left of the old one."""
    gone = "already gone"


_RANK = {verdict: rank for rank, verdict in enumerate(ReplayAction)}
"""A drain of several instances has the first verdict that one of them has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDecision:
    """A verdict and its reason."""

    verdict: ReplayAction
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks for it, when, and why."""

    by: str
    at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayItem:
    """One line of a plan. ``command`` is there when something would be sent."""

    drain_id: str
    region: str
    pod: str
    apps: tuple[str, ...]
    judged: ReplayDecision
    command: DrainCommand | None = None
    instances: tuple[tuple[str, str], ...] = ()
    """The apps and ids that would be drained."""
    letter: int | None = None
    """The dead letter that it comes from, by its place in the queue."""


def replay_command(record: DrainRecord, requester: Requester) -> DrainCommand | ReplayDecision:
    """Compose the command of a drain once more, or say why that cannot be."""
    if record.facts is None or record.since_at is None:
        why = "the part of the log that was read does not hold the drain's beginning: choose a longer --since"
        return ReplayDecision(verdict=ReplayAction.refuse, reason=why)
    if record.cause is Cause.asked:
        return ReplayDecision(
            verdict=ReplayAction.refuse, reason="it was taken out by hand: eureka-drain drain does that again"
        )
    if any(part.outcome is Outcome.restored for part in record.parts.values()):
        return ReplayDecision(
            verdict=ReplayAction.refuse, reason="it was put back in service: a living process holds the id"
        )
    command = DrainCommand(
        drain_id=record.drain_id,
        cluster=record.cluster,
        region=record.region,
        cause=record.cause,
        pod=record.facts,
        observed_at=requester.at,
        since_at=record.since_at,
        end_at=record.end_at or record.since_at,
    )
    return requested(command, requester)


def requested(command: DrainCommand, requester: Requester) -> DrainCommand:
    """The command as a person asks for it: from the start, and with his name on it."""
    return replace(
        command,
        observed_at=requester.at,
        requested_by=requester.by,
        requested_at=requester.at,
        requested_why=requester.why,
        progress=None,
    )


def is_under_way(record: DrainRecord, now: datetime, give_up_after: timedelta) -> ReplayDecision | None:
    """Whether a worker has it still, so that asking again would only do it twice."""
    if record.state is not Outcome.requested or now - record.last_at > give_up_after:
        return None
    who = f"asked for by {record.requested_by}" if record.requested_by else "asked for by the watch"
    return ReplayDecision(verdict=ReplayAction.under_way, reason=record.reason or who)


def decide_instance(
    command: DrainCommand, annotations: PodAnnotations, target: Target, readings: Readings
) -> ReplayDecision:
    """What would come of one instance that was found to be the pod's."""
    finish = check_ownership(target, command, annotations, readings)
    if finish is not None:
        verdict = ReplayAction.superseded if finish.outcome is Outcome.superseded else ReplayAction.refuse
        return ReplayDecision(verdict=verdict, reason=finish.reason)
    if all(reading.condition is Condition.absent for reading in readings):
        return ReplayDecision(verdict=ReplayAction.gone, reason="no node holds it any more")
    match decide_take_out(readings):
        case TakeOut():
            return ReplayDecision(verdict=ReplayAction.drain)
        case Settled():
            return ReplayDecision(verdict=ReplayAction.out)
        case _:
            return ReplayDecision(verdict=ReplayAction.drain, reason=f"once it can be proved: {trouble_of(readings)}")


def combine(judged: Iterable[ReplayDecision]) -> ReplayDecision:
    """The verdict on a drain from those on its instances."""
    return min(judged, key=lambda one: _RANK[one.verdict])


def is_settled(record: DrainRecord | None, instances: Iterable[tuple[str, str]]) -> bool:
    """Whether everything that was sent has come to an outcome; ``story`` holds what was told since."""
    if record is None:
        return False
    whole = record.parts.get(WHOLE_DRAIN)
    if whole is not None and whole.outcome in FINAL:
        return True
    wanted = [record.parts.get(key) for key in instances] or list(record.parts.values())
    return bool(wanted) and all(part is not None and part.outcome is not Outcome.requested for part in wanted)


GOOD_ENDS = frozenset(Outcome) - {Outcome.requested, Outcome.refused, Outcome.failed}
GOOD_ACTIONS = frozenset({ReplayAction.out, ReplayAction.gone, ReplayAction.superseded})
