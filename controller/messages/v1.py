"""Version 1 of the wire, as it was first released. Do not change it: add a version.

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


class Owner(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The drained pod's controller."""

    api_version: Short
    kind: Short
    name: Short
    uid: Short


class Pod(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The drained pod."""

    namespace: Short
    name: Short
    uid: Annotated[str, Meta(min_length=1, max_length=128)]
    ip: Short
    hostname: Short = ""
    subdomain: Short = ""
    node: Short = ""
    host_network: bool = False
    ports: Annotated[tuple[Port, ...], Meta(max_length=256)] = ()
    phase: Short = ""
    app_label: Short = ""
    created_at: Time | None = None
    deletion_at: Time | None = None
    grace_seconds: int = 0
    finished_at: Time | None = None
    disruption: Short = ""
    annotations: Annotated[dict[Short, Text], Meta(max_length=32)] = field(default_factory=dict)
    owner: Owner | None = None


class LivingPod(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A living pod at the same address or host name."""

    namespace: Short
    name: Short
    uid: Short
    ip: Short
    host_names: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    host_network: bool = False
    ports: Annotated[tuple[Port, ...], Meta(max_length=256)] = ()
    created_at: Time | None = None


class Target(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instance on its way out."""

    app: Text
    id: Text
    ip: str
    host_name: str
    port: int
    stage: Literal["drain", "retire", "delete", "restore"]
    due_at: Time
    renewal_interval: timedelta = timedelta(seconds=30)
    renewals: dict[Text, Time] = field(default_factory=dict)
    looked_at: Time | None = None
    written: bool = False
    attempt: Annotated[int, Meta(ge=1)] = 1
    trouble: str = ""
    trouble_since: Time | None = None


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a worker has come."""

    first_at: Time
    due_at: Time
    step: Annotated[int, Meta(ge=0)] = 0
    chain: Short = ""
    attempt: Annotated[int, Meta(ge=1)] = 1
    trouble: str = ""
    trouble_since: Time | None = None
    first_look_at: Time | None = None
    targets: Annotated[tuple[Target, ...], Meta(max_length=64)] = ()


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.command``."""

    version: Literal[1]
    drain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    cluster: Short
    region: Annotated[str, Meta(min_length=1, max_length=63)]
    cause: Literal["terminating", "deleted", "vanished", "failed", "succeeded", "node_lost", "asked"]
    pod: Pod
    observed_at: Time
    since_at: Time
    end_at: Time
    living: Annotated[tuple[LivingPod, ...], Meta(max_length=64)] = ()
    requested_by: Short = ""
    requested_at: Time | None = None
    requested_why: Text = ""
    progress: Progress | None = None


class Taken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instance that a drain took out of service, as the event log says."""

    drain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    region: Short
    app: Text
    id: Text
    cause: Literal["terminating", "deleted", "vanished", "failed", "succeeded", "node_lost", "asked"]
    namespace: Short
    pod: Short
    uid: Short
    ip: Short
    since_at: Time
    taken_at: Time


class Restore(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.restore``. A type of its own, so that a reader who does not know it never takes it for a drain."""

    version: Literal[1]
    drain_id: Annotated[str, Meta(min_length=1, max_length=64)]
    cluster: Short
    region: Annotated[str, Meta(min_length=1, max_length=63)]
    pod: Pod
    observed_at: Time
    taken: Annotated[tuple[Taken, ...], Meta(min_length=1, max_length=64)]
    requested_by: Short = ""
    requested_at: Time | None = None
    requested_why: Text = ""
    progress: Progress | None = None


class Position(Struct, frozen=True, kw_only=True):
    """Type ``drain.position``: how far a watch has come."""

    version: Literal[1]
    cluster: Short
    at: Time
    versions: Annotated[dict[Short, Short], Meta(max_length=10_000)]


class Node(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one Eureka node said."""

    node: Text
    condition: Literal["out", "in_service", "absent", "unreachable", "failing", "denied"]
    detail: str = ""


class Event(Struct, frozen=True, kw_only=True):
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
    cause: Literal["terminating", "deleted", "vanished", "failed", "succeeded", "node_lost", "asked"]
    outcome: Literal[
        "requested",
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
    reason: str = ""
    attempt: int = 1
    nodes: tuple[Node, ...] = ()
    since_at: Time | None = None
    published_at: Time | None = None
    taken_up_at: Time | None = None
    retention_ends_at: Time | None = None
    safe_at: Time | None = None
    requested_by: Short = ""
    requested_at: Time | None = None
    requested_why: Text = ""
    facts: Pod | None = None
    end_at: Time | None = None


class PodEnd(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type ``drain.end``: a drained pod has ended serving."""

    version: Literal[1]
    cluster: Short
    drain_ids: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=256)]
    namespace: Short
    pod: Short
    uid: Short
    kind: Short
    workload: Short
    at: Time
    ended_at: Time | None = None
    cut: Literal["no_hook", "hook", "grace", "killed", "by_itself", "unknown"] = "unknown"
    why: Text = ""
