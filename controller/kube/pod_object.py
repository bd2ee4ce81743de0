"""A pod as the API server sends it: only the fields that a drain and its verdict need.

Hooks may be of any size, and are needed of pods on their way out only: they stay bytes until ``pod_details_decoder``
reads them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from controller.bounds import MAX_REFERENCE_LENGTH, MAX_VALUE_LENGTH
from controller.domain.annotations import KNOWN
from controller.domain.pods import ANNOTATION_PREFIX

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Version = Annotated[str, msgspec.Meta(max_length=256)]
"""What a position may hold."""


class Annotations(msgspec.Struct, rename={"mirror": "kubernetes.io/config.mirror"}):
    """Those that are read. A pod may have 256 KiB of others: they are never made objects of."""

    mirror: str | None = None
    enabled: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}enabled")
    app: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}app")
    instance_id: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}instance-id")
    port: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}port")
    region: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}region")
    retention: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}retention")
    window: str | None = msgspec.field(default=None, name=f"{ANNOTATION_PREFIX}window")

    @property
    def ours(self) -> dict[str, str]:
        """Return those of our prefix. One character too many is kept of a value that is too long, as a mark."""
        values = {name: getattr(self, name.replace("-", "_")) for name in KNOWN}
        return {name: value[: MAX_VALUE_LENGTH + 1] for name, value in values.items() if value is not None}


class Labels(msgspec.Struct):
    """Those that are read, of any number."""

    name: str | None = msgspec.field(default=None, name="app.kubernetes.io/name")
    app: str | None = None
    rollout_hash: str | None = msgspec.field(default=None, name="rollouts-pod-template-hash")
    template_hash: str | None = msgspec.field(default=None, name="pod-template-hash")
    revision_hash: str | None = msgspec.field(default=None, name="controller-revision-hash")
    generation: str | None = msgspec.field(default=None, name="pod-template-generation")

    @property
    def app_label(self) -> str:
        """What the pod's app may be called."""
        return _label(self.name or self.app)

    @property
    def template(self) -> str:
        """The hash that its owner gives to each template."""
        return _label(self.template_hash or self.rollout_hash or self.revision_hash)


def _label(text: str | None) -> str:
    return (text or "")[:MAX_REFERENCE_LENGTH]


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
    annotations: Annotations | None = None
    labels: Labels | None = None
    owner_references: list[OwnerReference] | None = None


class _ContainerPort(msgspec.Struct, rename="camel"):
    container_port: int = 0
    host_port: int = 0


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
