"""A pod as the API server sends it: only the fields that a drain and its verdict need.

Hooks may be of any size, and are needed of pods on their way out only: they stay bytes until ``pod_details_decoder``
reads them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Version = Annotated[str, msgspec.Meta(max_length=256)]
"""What a position may hold."""


class OwnerReference(msgspec.Struct, rename="camel"):
    """Whom an object says to belong to."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: Version = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class _ContainerPort(msgspec.Struct, rename="camel"):
    container_port: int = 0


class _Lifecycle(msgspec.Struct, rename="camel"):
    pre_stop: msgspec.Raw = msgspec.Raw(b"null")


class ContainerSpec(msgspec.Struct, rename="camel"):
    """A container as its pod describes it."""

    name: str = ""
    ports: list[_ContainerPort] | None = None
    lifecycle: _Lifecycle | None = None
    restart_policy: str | None = None


class PodSpec(msgspec.Struct, rename="camel"):
    """A pod as it was asked for."""

    hostname: str = ""
    subdomain: str = ""
    node_name: str = ""
    host_network: bool = False
    containers: list[ContainerSpec] | None = None
    init_containers: list[ContainerSpec] | None = None
    termination_grace_period_seconds: int | None = None


class _Terminated(msgspec.Struct, rename="camel"):
    finished_at: Time | None = None
    exit_code: int = 0
    reason: str = ""


class _Running(msgspec.Struct):
    """It runs: nothing else is read of it."""


class _State(msgspec.Struct):
    running: _Running | None = None
    terminated: _Terminated | None = None


class ContainerStatus(msgspec.Struct, rename="camel"):
    """A container as its node reports it."""

    name: str = ""
    state: _State | None = None
    last_state: _State | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    last_transition_time: Time | None = None


class PodAddress(msgspec.Struct):
    """One of several addresses."""

    ip: str = ""


class PodStatus(msgspec.Struct, rename="camel"):
    """A pod as its node reports it."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: list[PodAddress] | None = msgspec.field(default=None, name="podIPs")
    host_ip: str = msgspec.field(default="", name="hostIP")
    host_ips: list[PodAddress] | None = msgspec.field(default=None, name="hostIPs")
    conditions: list[_Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    """Native sidecars' too."""


class PodObject(msgspec.Struct):
    """A pod as the API server sends it."""

    metadata: _Metadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)
