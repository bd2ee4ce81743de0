"""The audit log's vocabulary: what may become of a drain, and who may have taken over what it held."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.domain.causes import REVERSIBLE, Cause
from controller.domain.commands import DrainCommand, RestoreCommand, Target
from controller.domain.event_ids import event_id
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import Reading
from controller.domain.pods import Pod
from controller.domain.reason import Reason, ReasonCode

MAX_NAME_LENGTH = 600
"""Characters of an app or id that an event keeps: longer ones cannot be addressed, and the log need not hold them."""


class Outcome(StrEnum):
    """The state that an event reports; docs/drains.md says what each means to an operator."""

    requested = "requested"
    retrying = "retrying"
    out_of_service = "out_of_service"
    removed = "removed"
    already_gone = "already_gone"
    not_registered = "not_registered"
    refused = "refused"
    superseded = "superseded"
    restored = "restored"
    failed = "failed"


OPEN = frozenset({Outcome.requested, Outcome.retrying})
"""The instance may still be given to callers, and a worker is to see to it."""
FINAL = frozenset(Outcome) - OPEN - {Outcome.out_of_service}
"""Nothing follows these, unless a person asks for it; a drain has one of them for each of its instances."""
ENDED = FINAL - {Outcome.failed}
"""Endings after which the drain holds nothing there: one that has failed still holds what it took out."""
FOUND_SO = frozenset({Outcome.already_gone, Outcome.superseded, Outcome.refused})
"""Endings that say how a handling has found things: no news where another one of the same drain has said the ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of state. The same change written twice has the same ``event_id``."""

    event_id: str
    drain_id: str
    at: datetime
    cluster: str
    namespace: str
    pod: str
    uid: str
    ip: str
    region: str
    cause: Cause
    outcome: Outcome
    app: str = ""
    instance_id: str = ""
    reason: Reason | None = None
    attempt: int = 1
    nodes: tuple[Reading, ...] = ()
    since_at: datetime | None = None
    published_at: datetime | None = None
    """When the broker had confirmed the command; with ``requested`` only."""
    taken_up_at: datetime | None = None
    """When a worker took the command up."""
    retention_ends_at: datetime | None = None
    """When it may be deleted at the earliest, unless it falls silent before its deadline; with ``out_of_service``."""
    safe_at: datetime | None = None
    """When no caller uses it any more, by the window of the settings, of the nodes, or of the pod. With
    ``out_of_service``, with ``already_gone`` where nobody had taken it out, and when it had to be taken out again."""
    requested_by: str = ""
    requested_at: datetime | None = None
    requested_why: str = ""
    facts: Pod | None = None
    """The pod as it was; with ``requested``, so that a replay knows as much as the watch did."""
    end_at: datetime | None = None
    """The pod's deadline; with ``requested``, ``out_of_service`` and ``retrying``."""
    dirty_at: datetime | None = None
    """The registration's ``lastDirtyTimestamp``, by the client's clock; with ``out_of_service``."""
    may_have_override: bool = False
    """It may bear this drain's override, though that is not proved; with ``retrying`` and ``failed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverEvent:
    """A living pod may have taken over what a drain holds: no outcome, but no worker may set the override again.

    Its registration may look like the drained process's own, and while a node is away nothing can be concluded.
    """

    event_id: str
    drain_id: str
    at: datetime
    cluster: str
    region: str
    app: str
    instance_id: str
    successor: Pod


@dataclass(frozen=True, slots=True, kw_only=True)
class PodGoneEvent:
    """A drained pod does not run any more: no outcome, but what is registered from now on is not the pod's doing."""

    event_id: str
    drain_id: str
    at: datetime
    cluster: str
    region: str
    uid: str
    gone_at: datetime
    """The last moment at which it may still have run; its deadline, where nobody has seen its end."""
    proved: bool = False
    """Its node has reported that all its containers ended; not so when it was only removed: by force, or lost."""


LogEntry = Event | TakeoverEvent | PodGoneEvent
"""What the stream of events holds."""


def make_event(
    command: DrainCommand,
    outcome: Outcome,
    at: datetime,
    *,
    reason: Reason | None = None,
    target: Target | None = None,
    app: str = "",
    instance_id: str = "",
    nodes: tuple[Reading, ...] = (),
    attempt: int = 1,
    published_at: datetime | None = None,
    retention_ends_at: datetime | None = None,
    safe_at: datetime | None = None,
    dirty_at: datetime | None = None,
    may_have_override: bool = False,
    was_held: bool = False,
    turn: int = 0,
) -> Event:
    """Compose the event of a command's new state, about one instance when there is one.

    ``was_held``: the drain has had it out. ``turn``: how often it had ended there before, and has found it once more.
    """
    if target is not None:
        app, instance_id, attempt = target.app, target.id, target.attempt
    app, instance_id = app[:MAX_NAME_LENGTH], instance_id[:MAX_NAME_LENGTH]
    pod = command.pod
    begins = outcome is Outcome.requested
    # Something else in the way is another event; the same thing again is not.
    which = str(reason) if outcome is Outcome.retrying else ""
    if not instance_id and command.cause in REVERSIBLE and outcome in (Outcome.retrying, Outcome.failed):
        which += f" {command.cause} {pod.unready_at}"  # its node may come back, and the pod be drained once more
    kind = _ending_of(outcome, was_held=was_held)
    return Event(
        event_id=event_id(command.drain_id, app, instance_id, kind, which, command.requested_at, turn=turn),
        drain_id=command.drain_id,
        at=at,
        cluster=command.cluster,
        namespace=pod.namespace,
        pod=pod.name,
        uid=pod.uid,
        ip=pod.ip,
        region=command.region,
        cause=command.cause,
        outcome=outcome,
        app=app,
        instance_id=instance_id,
        reason=reason,
        attempt=attempt,
        nodes=nodes,
        since_at=command.since_at,
        published_at=published_at,
        taken_up_at=command.progress.first_at if command.progress else None,
        retention_ends_at=retention_ends_at,
        safe_at=safe_at,
        requested_by=command.requested_by,
        requested_at=command.requested_at,
        requested_why=command.requested_why,
        facts=pod if begins else None,
        end_at=command.end_at if outcome in (Outcome.requested, Outcome.out_of_service, Outcome.retrying) else None,
        dirty_at=dirty_at,
        may_have_override=may_have_override,
    )


def _ending_of(outcome: Outcome, *, was_held: bool) -> str:
    """Name the ending that copies of one command may each say in words of their own: the first one counts."""
    if was_held:  # one deletes it, another one finds it gone
        return Outcome.removed if outcome is Outcome.already_gone else outcome
    return "found so" if outcome in FOUND_SO else outcome


def make_restored_event(
    command: RestoreCommand, held: HeldInstance, at: datetime, *, nodes: tuple[Reading, ...], reason: Reason, turn: int
) -> Event:
    """Compose the event of the drain that is undone for one instance, so that its record ends there, for this turn."""
    outcome = Outcome.restored
    return Event(
        event_id=event_id(held.drain_id, held.app, held.id, outcome, requested_at=command.requested_at, turn=turn),
        drain_id=held.drain_id,
        at=at,
        cluster=command.cluster,
        namespace=held.namespace,
        pod=held.pod,
        uid=held.uid,
        ip=held.ip,
        region=command.region,
        cause=held.cause,
        outcome=outcome,
        app=held.app,
        instance_id=held.id,
        reason=reason,
        nodes=nodes,
        since_at=held.since_at,
        requested_by=command.requested_by,
        requested_at=command.requested_at,
        requested_why=command.requested_why,
    )


def make_takeover_event(command: RestoreCommand, held: HeldInstance, at: datetime) -> TakeoverEvent:
    """Compose what makes every worker know of the living pod, whichever of them got the command."""
    return TakeoverEvent(
        event_id=event_id(
            held.drain_id, held.app, held.id, "takeover", command.pod.uid, requested_at=command.requested_at
        ),
        drain_id=held.drain_id,
        at=at,
        cluster=command.cluster,
        region=command.region,
        app=held.app,
        instance_id=held.id,
        successor=command.pod,
    )


def make_gone_event(command: DrainCommand, gone_at: datetime, at: datetime, *, proved: bool) -> PodGoneEvent:
    """Compose what makes every worker know that the pod of a drain does not run any more."""
    which = f"{gone_at.isoformat()} {proved}"
    return PodGoneEvent(
        event_id=event_id(command.drain_id, "", "", "gone", which),
        drain_id=command.drain_id,
        at=at,
        cluster=command.cluster,
        region=command.region,
        uid=command.pod.uid,
        gone_at=gone_at,
        proved=proved,
    )


def make_missing_event(held: HeldInstance, cluster: str, at: datetime) -> PodGoneEvent:
    """Compose the same of a drained pod that is not there, and whose end nobody has recorded.

    It may have been removed as soon as it began to go, and its address used again long before its deadline. So what was
    registered since then is in doubt, and its heartbeats are judged as after any end that is not proved.
    """
    gone_at = min(held.since_at, at)
    return PodGoneEvent(
        event_id=event_id(held.drain_id, "", "", "gone", f"{gone_at.isoformat()} missing"),
        drain_id=held.drain_id,
        at=at,
        cluster=cluster,
        region=held.region,
        uid=held.uid,
        gone_at=gone_at,
    )


CODES = {
    Outcome.refused: (
        ReasonCode.invalid_annotation,
        ReasonCode.no_region,
        ReasonCode.not_its_own,
        ReasonCode.ambiguous,
        ReasonCode.not_addressable,
        ReasonCode.implausible,
        ReasonCode.last_instance,
        ReasonCode.heartbeats,
    ),
    Outcome.superseded: (ReasonCode.taken_over, ReasonCode.not_its_own),
    Outcome.failed: (
        ReasonCode.denied,
        ReasonCode.unreachable,
        ReasonCode.bad_answer,
        ReasonCode.still_in_service,
        ReasonCode.comes_back,
        ReasonCode.back_in_service,
        ReasonCode.rate_limited,
        ReasonCode.internal_error,
        ReasonCode.dropped,
    ),
}
"""The outcomes that leave an instance as it is, with the codes that they may have."""
