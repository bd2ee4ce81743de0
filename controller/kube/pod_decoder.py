"""From the API server's bytes to pods, each byte decoded once, and only what a drain and its verdict need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from controller.domain.addressing import canonical_address
from controller.domain.annotations import KNOWN, MAX_VALUE_LENGTH
from controller.domain.pods import ANNOTATION_PREFIX, MAX_ADDRESSES, Owner, Pod
from controller.errors import KubernetesError
from controller.kube.pod_end_decoder import finished_at, proved_end
from controller.kube.pod_object import ContainerStatus, OwnerReference, PodAddress, PodObject, PodStatus, Version

APP_LABELS = ("app.kubernetes.io/name", "app")
MIRROR = "kubernetes.io/config.mirror"
MAX_REFERENCE_LENGTH = 253
"""Characters of each of an owner's facts: what a real one may have. The API server admits any length."""


class _ListMetadata(msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}):
    resource_version: Version
    more: str = ""


class _PodList(msgspec.Struct):
    metadata: _ListMetadata
    items: list[PodObject] | None = None


class _AnyList(msgspec.Struct):
    metadata: _ListMetadata


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
_any_list = msgspec.json.Decoder(_AnyList)
_event = msgspec.json.Decoder(_WatchEvent)
_pod = msgspec.json.Decoder(PodObject)
_failure = msgspec.json.Decoder(_Failure)


def decode_list(body: bytes) -> tuple[list[PodObject], str, str]:
    """Read one page of a list: its pods, the list's resourceVersion, the next page's token (empty: the last)."""
    page = decoded(_list, body, "a list of pods")
    return page.items or [], page.metadata.resource_version, page.metadata.more


def decode_list_version(body: bytes) -> str:
    """Read the resourceVersion of a list of anything."""
    return str(decoded(_any_list, body, "a list").metadata.resource_version)


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
    ips = _addresses(status.pod_ip, status.pod_ips)
    found = Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        ip=ips[0] if ips else "",
        ips=ips,
        host_ips=_addresses(status.host_ip, status.host_ips),
        hostname=spec.hostname or meta.name,
        subdomain=spec.subdomain,
        node=spec.node_name,
        host_network=spec.host_network,
        mirror=MIRROR in (meta.annotations or {}),
        ports=tuple(
            port.container_port
            for container in spec.containers or ()
            for port in container.ports or ()
            if 0 < port.container_port < 65_536
        )[:64],
        declares_ports=all(container.ports for container in spec.containers or ()),
        phase=status.phase,
        app_label=next((label for name in APP_LABELS if (label := (meta.labels or {}).get(name))), ""),
        created_at=meta.creation_timestamp,
        deletion_at=meta.deletion_timestamp,
        grace_seconds=meta.deletion_grace_period_seconds or 0,
        finished_at=finished_at(status),
        started=any(_has_run(one) for one in status.container_statuses or ()),
        disruption=_disruption(status),
        annotations=_ours(meta.annotations or {}),
        owner=_owner(meta.owner_references or ()),
    )
    ended_at = proved_end(pod, found) if found.started else None
    return replace(found, ended_at=ended_at) if ended_at else found


@lru_cache(maxsize=16_384)
def _shared_addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Make one tuple for all pods of a node: every living pod's are kept in memory."""
    addresses = dict.fromkeys(canonical_address(text) for text in texts if text)
    return tuple(addresses)[:MAX_ADDRESSES]


def _addresses(first: str, all_of_them: Iterable[PodAddress] | None) -> tuple[str, ...]:
    return _shared_addresses((first, *(one.ip for one in all_of_them or ())))


def _owner(references: Iterable[OwnerReference]) -> Owner | None:
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


def _has_run(container: ContainerStatus) -> bool:
    return any(state and (state.running or state.terminated) for state in (container.state, container.last_state))


def _disruption(status: PodStatus) -> str:
    return next((c.reason for c in status.conditions or () if c.type == "DisruptionTarget" and c.status == "True"), "")
