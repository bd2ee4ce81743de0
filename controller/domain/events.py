"""The audit log's vocabulary: what may become of a drain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Target
from controller.domain.instances import Reading
from controller.domain.pods import Pod

MAX_NAME_LENGTH = 600
"""Characters of an app or id that an event keeps: longer ones cannot be addressed, and the log need not hold them."""


class Outcome(StrEnum):
    """The state that an event reports; see the README for what each means to an operator."""

    requested = "requested"
    out_of_service = "out_of_service"
    removed = "removed"
    already_gone = "already_gone"
    not_registered = "not_registered"
    refused = "refused"
    superseded = "superseded"
    restored = "restored"
    failed = "failed"


FINAL = frozenset(Outcome) - {Outcome.requested, Outcome.out_of_service}
"""Nothing follows these, unless a person asks for it; a drain has one of them for each of its instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of state. The same change told twice has the same ``event_id``."""

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
    reason: str = ""
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
    """The pod's deadline; as ``facts``."""


def event_id(
    drain_id: str, app: str, instance_id: str, outcome: Outcome, reason: str, requested_at: datetime | None = None
) -> str:
    """Derive the id that every process gives to the same change of state."""
    asked = (requested_at.isoformat(),) if requested_at else ()
    told = "\0".join((drain_id, app, instance_id, outcome, reason if outcome is Outcome.requested else "", *asked))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def make_event(
    command: DrainCommand,
    outcome: Outcome,
    at: datetime,
    *,
    reason: str = "",
    target: Target | None = None,
    app: str = "",
    instance_id: str = "",
    nodes: tuple[Reading, ...] = (),
    attempt: int = 1,
    published_at: datetime | None = None,
    retention_ends_at: datetime | None = None,
    safe_at: datetime | None = None,
) -> Event:
    """Compose the event of a command's new state, about one instance when there is one."""
    if target is not None:
        app, instance_id, attempt = target.app, target.id, target.attempt
    app, instance_id = app[:MAX_NAME_LENGTH], instance_id[:MAX_NAME_LENGTH]
    pod = command.pod
    begins = outcome is Outcome.requested and not reason
    return Event(
        event_id=event_id(command.drain_id, app, instance_id, outcome, reason, command.requested_at),
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
        end_at=command.end_at if begins else None,
    )
