"""From the API server's bytes to pods, each byte decoded once, and only what a drain and its verdict need.

Hooks may be of any size, and are needed of pods on their way out only: they stay bytes until ``pod_details_decoder``
reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from controller.domain.addressing import canonical_address
from controller.domain.annotations import KNOWN, MAX_VALUE_LENGTH
from controller.domain.pods import ANNOTATION_PREFIX, Owner, Pod
from controller.errors import KubernetesError

APP_LABELS = ("app.kubernetes.io/name", "app")
MAX_REFERENCE_LENGTH = 253
"""Characters of each of an owner's facts: what a real one may have. The API server admits any length."""
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _OwnerReference(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    owner_references: list[_OwnerReference] | None = None


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


class _State(msgspec.Struct):
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct):
    name: str = ""
    state: _State | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    last_transition_time: Time | None = None


class PodStatus(msgspec.Struct, rename="camel"):
    """A pod as its node reports it."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    """Native sidecars' too."""


class PodObject(msgspec.Struct):
    """A pod as the API server sends it."""

    metadata: _Metadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class _ListMetadata(msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}):
    resource_version: str
    more: str = ""


class _PodList(msgspec.Struct):
    metadata: _ListMetadata
    items: list[PodObject] | None = None


class _WatchEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _StatusCause(msgspec.Struct):
    reason: str = ""


class _Details(msgspec.Struct):
    causes: list[_StatusCause] | None = None


class _Failure(msgspec.Struct):
    """A ``Status`` object."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


_list = msgspec.json.Decoder(_PodList)
_event = msgspec.json.Decoder(_WatchEvent)
_pod = msgspec.json.Decoder(PodObject)
_failure = msgspec.json.Decoder(_Failure)


def decode_list(body: bytes) -> tuple[list[PodObject], str, str]:
    """Read one page of a list: its pods, the list's resourceVersion, the next page's token (empty: the last)."""
    page = decoded(_list, body, "a list of pods")
    return page.items or [], page.metadata.resource_version, page.metadata.more


def decode_page(body: bytes) -> tuple[list[Pod], str, str]:
    """Read one page as ``decode_list`` does, as far as a drain needs it."""
    pods, version, more = decode_list(body)
    return [pod_of(one) for one in pods], version, more


def decode_event(line: bytes) -> tuple[str, bytes]:
    """Read a watch line: its type, and the object's bytes."""
    event = decoded(_event, line, "a watch event")
    return event.type, bytes(event.object)


def decode_pod(body: bytes) -> tuple[Pod, PodObject]:
    """Read a pod; the object holds what else is known of it."""
    whole = decoded(_pod, body, "a pod")
    return pod_of(whole), whole


def decode_bookmark(body: bytes) -> str:
    """Read a bookmark's resourceVersion."""
    return str(decoded(_pod, body, "a bookmark").metadata.resource_version)


def decode_failure(body: bytes) -> tuple[int, str]:
    """Read a ``Status``: its HTTP code, and its reason and message as a text."""
    failure = decoded(_failure, body, "a status")
    return failure.code, f"{failure.reason}: {failure.message}"[:300]


def decode_causes(body: bytes) -> tuple[str, ...]:
    """Read a ``Status``: the causes that it names, one word each."""
    details = decoded(_failure, body, "a status").details
    return tuple(cause.reason for cause in (details and details.causes) or ())


def decoded(decoder: Any, body: bytes, what: str) -> Any:
    """Decode an answer that must be ``what``; KubernetesError when it is not."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise KubernetesError(f"the answer is not {what} ({str(error)[:120]})") from error


def pod_of(pod: PodObject) -> Pod:
    """Take out what a drain needs; KubernetesError when it is no pod."""
    meta, spec, status = pod.metadata, pod.spec, pod.status
    if not (meta.uid and meta.name and meta.namespace):
        raise KubernetesError("the answer is not a pod (it has no name, namespace or uid)")
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        ip=canonical_address(status.pod_ip),
        hostname=spec.hostname or meta.name,
        subdomain=spec.subdomain,
        node=spec.node_name,
        host_network=spec.host_network,
        ports=tuple(
            port.container_port
            for container in spec.containers or ()
            for port in container.ports or ()
            if 0 < port.container_port < 65_536
        )[:64],
        phase=status.phase,
        app_label=next((label for name in APP_LABELS if (label := (meta.labels or {}).get(name))), ""),
        created_at=meta.creation_timestamp,
        deletion_at=meta.deletion_timestamp,
        grace_seconds=meta.deletion_grace_period_seconds or 0,
        finished_at=_finished_at(status),
        disruption=_disruption(status),
        annotations=_ours(meta.annotations or {}),
        owner=_owner(meta.owner_references or ()),
    )


def _owner(references: Iterable[_OwnerReference]) -> Owner | None:
    """Return the controller, unless its facts are impossible."""
    for one in references:
        if one.controller:
            facts = (one.api_version, one.kind, one.name, one.uid)
            possible = all(0 < len(fact) <= MAX_REFERENCE_LENGTH and fact.isprintable() for fact in facts)
            return _shared_owner(*facts) if possible else None
    return None


@lru_cache(maxsize=4_096)
def _shared_owner(api_version: str, kind: str, name: str, uid: str) -> Owner:
    """Make one for all of its pods: every living pod's is kept in memory."""
    return Owner(api_version=api_version, kind=kind, name=name, uid=uid)


def _ours(annotations: dict[str, str]) -> dict[str, str]:
    """Keep those of our prefix that we know. One character too many is kept of a value that is too long, as a mark."""
    found = {}
    for name in KNOWN:
        value = annotations.get(ANNOTATION_PREFIX + name)
        if value is not None:
            found[name] = value[: MAX_VALUE_LENGTH + 1]
    return found


def _finished_at(status: PodStatus) -> datetime | None:
    if status.phase not in ("Failed", "Succeeded"):
        return None
    ends = [
        container.state.terminated.finished_at
        for container in status.container_statuses or ()
        if container.state and container.state.terminated and container.state.terminated.finished_at
    ]
    # An evicted pod may have no container statuses; its conditions changed when it ended.
    ends = ends or [
        c.last_transition_time for c in status.conditions or () if c.type == "Ready" and c.last_transition_time
    ]
    return max(ends, default=None)


def _disruption(status: PodStatus) -> str:
    return next((c.reason for c in status.conditions or () if c.type == "DisruptionTarget" and c.status == "True"), "")
