"""Replaying drains: from what the log holds to a command, and what would come of it. Pure: flows read and ask here.

A replay is a drain that a person asks for. It goes by the facts of the time when the pod died, so each fence of a drain
holds for it: what stands under the id today is left alone when it is newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from controller.domain.causes import REVERSIBLE, Cause
from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.drain_record import WHOLE_DRAIN, DrainRecord
from controller.domain.events import FINAL, OPEN, Outcome
from controller.domain.instances import present, trouble_of
from controller.domain.ownership import Unsettled
from controller.domain.silence import may_heartbeat
from controller.domain.stage_decisions import Observation
from controller.domain.stages import is_absent, nodes_in_service
from controller.domain.takeover import check_ownership

Item = TypeVar("Item", bound=WorkItem)


class ReplayAction(StrEnum):
    """What a replay would do about one drain."""

    drain = "would drain"
    refuse = "refused"
    under_way = "under way"
    out = "already out of service"
    superseded = "newer process"
    """A newer process holds the id: it is left alone, and nothing is left of the old one."""
    gone = "already gone"


_RANK = {action: rank for rank, action in enumerate(ReplayAction)}
"""A drain of several instances has the first of these that one of them has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDecision:
    """What would be done, and why."""

    action: ReplayAction
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
    decision: ReplayDecision
    command: DrainCommand | None = None
    instances: tuple[tuple[str, str], ...] = ()
    """The apps and ids that would be drained."""
    dead_number: int | None = None
    """The dead letter that it comes from, by its number."""


def replay_command(record: DrainRecord, requester: Requester) -> DrainCommand | ReplayDecision:
    """Compose the command of a drain once more, or say why that cannot be."""
    if record.facts is None or record.since_at is None:
        why = "the part of the log that was read does not hold the drain's beginning: choose a longer --since"
        return ReplayDecision(action=ReplayAction.refuse, reason=why)
    if record.cause is Cause.asked:
        return ReplayDecision(
            action=ReplayAction.refuse, reason="it was taken out by hand: eureka-drain drain does that again"
        )
    if any(part.outcome is Outcome.restored for part in record.parts.values()):
        # A pod that was deleted has gone: who holds its id is another one. A lost node's pod may be that one itself.
        action = ReplayAction.refuse if record.cause in REVERSIBLE else ReplayAction.superseded
        return ReplayDecision(action=action, reason="it was put back in service: a living process holds the id")
    command = DrainCommand(
        drain_id=record.drain_id,
        cluster=record.cluster,
        region=record.region,
        cause=record.cause,
        pod=record.facts,
        observed_at=requester.at,
        since_at=record.since_at,
        end_at=record.end_at or record.since_at,
        gone_at=record.gone_at or record.end_at or record.since_at,
    )
    return requested(command, requester)


def requested(command: DrainCommand, requester: Requester) -> DrainCommand:
    """Return the command as a person asks for it: from the start, with that person's name on it."""
    return signed(replace(command, observed_at=requester.at, progress=None), requester)


def signed(item: Item, requester: Requester) -> Item:
    """Return the work item with the name of the person who asks for it, as far as it has come."""
    return replace(item, requested_by=requester.by, requested_at=requester.at, requested_why=requester.why)


def decide_under_way(record: DrainRecord, now: datetime, give_up_after: timedelta) -> ReplayDecision | None:
    """Return why nothing is to be sent when a worker has it still: asking again would only do it twice."""
    if record.state not in OPEN or now - record.last_at > give_up_after:
        return None
    who = f"asked for by {record.requested_by}" if record.requested_by else "asked for by the watch"
    return ReplayDecision(action=ReplayAction.under_way, reason=str(record.reason or who))


def decide_instance(seen: Observation) -> ReplayDecision:
    """Decide what would come of one instance that was found to be the pod's."""
    if (other_hands := check_ownership(seen)) is not None:
        report = other_hands.report
        action = ReplayAction.superseded if report.outcome is Outcome.superseded else ReplayAction.refuse
        return ReplayDecision(action=action, reason=str(report.reason))
    unsettled = any(isinstance(seen.ownership(instance), Unsettled) for instance in present(seen.readings))
    if unsettled and may_heartbeat(seen.target, seen.readings, seen.now):
        return ReplayDecision(action=ReplayAction.superseded, reason="it was registered after the pod's end")
    if is_absent(seen.readings):
        return ReplayDecision(action=ReplayAction.gone, reason="no node holds it any more")
    if nodes_in_service(seen.readings):
        return ReplayDecision(action=ReplayAction.drain)
    if seen.unanswered:
        reason = f"once it can be proved: {trouble_of(seen.readings)}"
        return ReplayDecision(action=ReplayAction.drain, reason=reason)
    return ReplayDecision(action=ReplayAction.out)


def combine_decisions(decisions: Iterable[ReplayDecision]) -> ReplayDecision:
    """Return the decision on a drain from those on its instances."""
    return min(decisions, key=lambda one: _RANK[one.action])


def is_settled(record: DrainRecord | None, instances: Iterable[tuple[str, str]]) -> bool:
    """Return whether everything that was sent has come to an outcome; ``record`` holds what was written since."""
    if record is None:
        return False
    whole = record.parts.get(WHOLE_DRAIN)
    if whole is not None and whole.outcome in FINAL:
        return True
    wanted = [record.parts.get(key) for key in instances] or list(record.parts.values())
    return bool(wanted) and all(part is not None and part.outcome not in OPEN for part in wanted)


GOOD_ENDS = frozenset(Outcome) - OPEN - {Outcome.refused, Outcome.failed}
GOOD_ACTIONS = frozenset({ReplayAction.out, ReplayAction.gone, ReplayAction.superseded})
