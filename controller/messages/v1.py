"""Version 1 of the wire. Once it has been released it does not change: add a version.

Times are RFC 3339 in UTC. A field that a reader of version 1 does not know is ignored; one that it needs and does not
find makes the message invalid.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Short = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=2_048)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Time = Annotated[datetime, Meta(tz=True)]


class OwnerV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The drained pod's controller."""

    api_version: Short
    kind: Short
    name: Short
    uid: Short


class PodV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The drained pod."""

    namespace: Short
    name: Short
    uid: Annotated[str, Meta(min_length=1, max_length=128)]
    ip: Short
    ips: Annotated[tuple[Short, ...], Meta(max_length=8)] = ()
    host_ips: Annotated[tuple[Short, ...], Meta(max_length=8)] = ()
    hostname: Short = ""
    subdomain: Short = ""
    node: Short = ""
    host_network: bool = False
    mirror: bool = False
    ports: Annotated[tuple[Port, ...], Meta(max_length=256)] = ()
    host_ports: Annotated[tuple[Port, ...], Meta(max_length=256)] = ()
    declares_ports: bool = True
    phase: Short = ""
    app_label: Short = ""
    created_at: Time | None = None
    deletion_at: Time | None = None
    grace_seconds: int = 0
    finished_at: Time | None = None
    ended_at: Time | None = None
    unready_at: Time | None = None
    started: bool = False
    disruption: Short = ""
    annotations: Annotated[dict[Short, Text], Meta(max_length=32)] = field(default_factory=dict)
    owner: OwnerV1 | None = None


class LivingPodV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A living pod at the same address or host name."""

    namespace: Short
    name: Short
    uid: Short
    ip: Short
    ips: Annotated[tuple[Short, ...], Meta(max_length=8)] = ()
    host_names: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    host_network: bool = False
    ports: Annotated[tuple[Port, ...], Meta(max_length=256)] = ()
    created_at: Time | None = None


class ReasonV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why: a code to count by, and a text for people."""

    code: Short
    detail: str = ""


class TargetV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instance on its way out."""

    app: Text
    id: Text
    ip: str
    host_name: str
    port: int
    stage: Literal["take_out", "retain", "delete", "give_back"]
    due_at: Time
    renewal_interval: timedelta = timedelta(seconds=30)
    renewals: dict[Text, Time] = field(default_factory=dict)
    silent_since: Time | None = None
    renewals_after_end: dict[Text, Time] = field(default_factory=dict)
    written_at: Time | None = None
    dirty_at: Time | None = None
    last_dirty_at: Time | None = None
    shared_id: bool = False
    was_out: bool = False
    may_have_override: bool = False
    attempt: Annotated[int, Meta(ge=1)] = 1
    trouble: ReasonV1 | None = None
    trouble_since: Time | None = None


class ProgressV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a worker has come."""

    first_at: Time
    due_at: Time
    step: Annotated[int, Meta(ge=0)] = 0
    chain: Short = ""
    attempt: Annotated[int, Meta(ge=1)] = 1
    trouble: ReasonV1 | None = None
    trouble_since: Time | None = None
    first_look_at: Time | None = None
    found: Annotated[tuple[tuple[Text, Text], ...], Meta(max_length=256)] = ()
    found_ports: Annotated[tuple[Port, ...], Meta(max_length=256)] = ()
    doubted: Annotated[tuple[tuple[Text, Text], ...], Meta(max_length=16)] = ()
    found_all: bool = False
    targets: Annotated[tuple[TargetV1, ...], Meta(max_length=64)] = ()


class CommandV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.command``."""

    version: Literal[1]
    drain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    cluster: Short
    region: Annotated[str, Meta(min_length=1, max_length=63)]
    cause: Literal["terminating", "deleted", "vanished", "failed", "succeeded", "node_lost", "node_shutdown", "asked"]
    pod: PodV1
    observed_at: Time
    since_at: Time
    end_at: Time
    gone_at: Time | None = None
    end_proved: bool = False
    living: Annotated[tuple[LivingPodV1, ...], Meta(max_length=64)] = ()
    requested_by: Short = ""
    requested_at: Time | None = None
    requested_why: Text = ""
    progress: ProgressV1 | None = None


class HeldInstanceV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instance that a drain took out of service, as the event log says."""

    drain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    region: Short
    app: Text
    id: Text
    cause: Literal["terminating", "deleted", "vanished", "failed", "succeeded", "node_lost", "node_shutdown", "asked"]
    namespace: Short
    pod: Short
    uid: Short
    ip: Short
    since_at: Time
    out_at: Time
    end_at: Time | None = None
    dirty_at: Time | None = None
    was: Literal["", "DOWN", "STARTING"] = ""


class RestoreV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.restore``. A type of its own, so that a reader who does not know it never takes it for a drain."""

    version: Literal[1]
    drain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    cluster: Short
    region: Annotated[str, Meta(min_length=1, max_length=63)]
    pod: PodV1
    observed_at: Time
    held: Annotated[tuple[HeldInstanceV1, ...], Meta(min_length=1, max_length=64)]
    requested_by: Short = ""
    requested_at: Time | None = None
    requested_why: Text = ""
    progress: ProgressV1 | None = None


class PositionV1(Struct, frozen=True, kw_only=True):
    """Type ``drain.position``: how far a watch has come."""

    version: Literal[1]
    cluster: Short
    at: Time
    versions: Annotated[dict[Short, Short], Meta(max_length=10_000)]


class NodeV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one Eureka node said."""

    node: Text
    condition: Literal["out", "in_service", "absent", "unreachable", "failing", "denied"]
    detail: str = ""
    was: Literal["", "DOWN", "STARTING"] = ""


class EventV1(Struct, frozen=True, kw_only=True):
    """Type ``drain.event``: one change of state, for the audit log."""

    version: Literal[1]
    event_id: Short
    drain_id: Short
    at: Time
    cluster: Short
    namespace: Short
    pod: Short
    uid: Short
    ip: Short
    region: Short
    cause: Literal["terminating", "deleted", "vanished", "failed", "succeeded", "node_lost", "node_shutdown", "asked"]
    outcome: Literal[
        "requested",
        "retrying",
        "out_of_service",
        "removed",
        "already_gone",
        "not_registered",
        "refused",
        "superseded",
        "restored",
        "failed",
    ]
    app: Text = ""
    instance_id: Text = ""
    reason: ReasonV1 | None = None
    attempt: int = 1
    nodes: tuple[NodeV1, ...] = ()
    since_at: Time | None = None
    published_at: Time | None = None
    taken_up_at: Time | None = None
    retention_ends_at: Time | None = None
    safe_at: Time | None = None
    requested_by: Short = ""
    requested_at: Time | None = None
    requested_why: Text = ""
    facts: PodV1 | None = None
    end_at: Time | None = None
    dirty_at: Time | None = None
    may_have_override: bool = False


class TakeoverV1(Struct, frozen=True, kw_only=True):
    """Type ``drain.takeover``: a living pod may have taken over what a drain holds."""

    version: Literal[1]
    event_id: Short
    drain_id: Short
    at: Time
    cluster: Short
    region: Short
    app: Text
    instance_id: Text
    successor: PodV1


class PodGoneV1(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.gone``: a drained pod does not run any more."""

    version: Literal[1]
    event_id: Short
    drain_id: Short
    at: Time
    cluster: Short
    region: Short
    uid: Short
    gone_at: Time
    proved: bool = False
