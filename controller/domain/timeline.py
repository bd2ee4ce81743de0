"""A drain's record as moments in time, for people: what happened, how long after the pod began to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.durations import elapsed
from controller.domain.events import LogEntry, Outcome, PodGoneEvent, TakeoverEvent
from controller.domain.shutdown.verdict import safe_after, shutdown_of

WHY = {
    Cause.terminating: "its deletion was asked for",
    Cause.deleted: "it was deleted without a grace period",
    Cause.vanished: "it was gone when the watch looked again",
    Cause.failed: "it failed",
    Cause.succeeded: "it completed",
    Cause.node_lost: "its node was lost",
    Cause.node_shutdown: "its node was shutting down",
    Cause.asked: "a person took it out of service",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened, or will (``ahead``)."""

    at: datetime
    what: str
    detail: str = ""
    after: timedelta | None = None
    """Since the pod began to go; None for what was before."""
    outcome: Outcome | None = None
    ahead: bool = False


def moments(record: DrainRecord, now: datetime) -> list[Moment]:
    """Return the whole timeline, in order."""
    begun: list[Moment] = []
    if record.facts is not None and record.facts.unready_at is not None:
        # Without a distance: so long Kubernetes waited, and no drain could begin.
        begun.append(Moment(at=record.facts.unready_at, what="not ready", detail="its node did not answer any more"))
    if record.since_at is not None:
        begun.append(_at(record, record.since_at, "pod began to go", WHY[record.cause]))
    if record.published_at is not None:
        begun.append(_at(record, record.published_at, "published", "the broker has the command"))
    if record.taken_up_at is not None:
        begun.append(_at(record, record.taken_up_at, "consumed", f"by a worker of region {record.region}"))
    happened = [_of(record, event) for event in record.events]
    if record.safe_at is not None:
        waits = safe_after(record, now) is not None
        what = "safe after" if waits else "no caller uses it any more"
        happened.append(_at(record, record.safe_at, what, "by what callers have cached", ahead=record.safe_at > now))
    if record.end is not None and record.end.ended_at is not None:
        detail = "; ".join(part for part in (shutdown_of(record).text, record.end.why) if part)
        happened.append(_at(record, record.end.ended_at, "ended serving", detail))
    ahead = [
        _at(
            record, part.retention_ends_at, "retention ends", f"then {part.id} is deleted once it is silent", ahead=True
        )
        for part in record.parts.values()
        if part.outcome is Outcome.out_of_service and part.retention_ends_at and part.retention_ends_at > now
    ]
    return sorted([*begun, *happened, *ahead], key=lambda moment: moment.at)


def _of(record: DrainRecord, event: LogEntry) -> Moment:
    if isinstance(event, TakeoverEvent):
        detail = f"{event.app} {event.instance_id}; by {event.successor.key}: it is to be put back in service"
        return _at(record, event.at, "may be taken over", detail)
    if isinstance(event, PodGoneEvent):
        detail = "its node has reported that all its containers ended" if event.proved else "its object was removed"
        return _at(record, event.gone_at, "pod gone", detail)
    who = f"{event.app} {event.instance_id}".strip()
    asked = f"asked for by {event.requested_by}" if event.requested_by else ""
    if event.outcome is Outcome.requested:
        why = f": {event.requested_why}" if asked and event.requested_why else ""
        what = "requested" if asked else "seen by the watch"
        # The event of a message that is sent again bears the time of its pod.
        at = max(event.at, event.requested_at or event.at)
        return _at(record, at, what, f"{asked}{why}", outcome=event.outcome)
    nodes = ", ".join(
        f"{short_node(one.node)}: {one.condition}{f' ({one.detail})' if one.detail else ''}" for one in event.nodes
    )
    texts = (who, str(event.reason or ""), nodes, f"attempt {event.attempt}" if event.attempt > 1 else "", asked)
    detail = "; ".join(part for part in texts if part)
    return _at(record, event.at, event.outcome.value, detail, outcome=event.outcome)


def _at(
    record: DrainRecord, at: datetime, what: str, detail: str, *, outcome: Outcome | None = None, ahead: bool = False
) -> Moment:
    after = elapsed(record.since_at, at) if record.since_at is not None else None
    return Moment(at=at, what=what, detail=detail, after=after, outcome=outcome, ahead=ahead)


def short_node(url: str) -> str:
    """Return a node without scheme and path.

    >>> short_node("http://eureka-0.eureka:8761/eureka")
    'eureka-0.eureka:8761'
    """
    return url.partition("://")[2].partition("/")[0] or url
