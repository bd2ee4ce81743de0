"""From the API server's bytes to pods, each byte decoded once, and only what a drain and its verdict need."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from controller.bounds import MAX_ADDRESSES, MAX_PORTS, MAX_REFERENCE_LENGTH
from controller.domain.addressing import canonical_address
from controller.domain.causes import NODE_LOST
from controller.domain.pods import Owner, Pod
from controller.errors import KubernetesError
from controller.kube.pod_end_decoder import finished_at, proved_end, unready_at
from controller.kube.pod_object import ContainerStatus, OwnerReference, PodAddress, PodObject, PodStatus, Version

_NO_ANNOTATIONS: dict[str, str] = {}
"""Of most pods; never changed."""
_HEAD = re.compile(
    rb'{"type":"([A-Z]+)","object":{(?:"kind":"\w+",)?(?:"apiVersion":"[\w/.]+",)?"metadata":{"name":"([^"\\]{1,253})",'
    rb'(?:"generateName":"[^"\\]*",)?"namespace":"([^"\\]{1,63})",(?:"selfLink":"[^"\\]*",)?'
    rb'"uid":"([^"\\]{1,128})","resourceVersion":"(\d{1,20})"'
)


class _ListMetadata(msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}):
    resource_version: Version
    more: str = ""


class _Page(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class _ObjectMetadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""


class _NamedObject(msgspec.Struct):
    metadata: _ObjectMetadata


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


_page = msgspec.json.Decoder(_Page)
_named = msgspec.json.Decoder(_NamedObject)
_any_list = msgspec.json.Decoder(_AnyList)
_event = msgspec.json.Decoder(_WatchEvent)
_pod = msgspec.json.Decoder(PodObject)
_failure = msgspec.json.Decoder(_Failure)


class Page(NamedTuple):
    """One page of a list of anything."""

    items: list[msgspec.Raw]
    """Each of them to be decoded by itself: it may be as large as a page."""
    version: str
    """The list's resourceVersion."""
    more: str
    """The next page's token; empty: this is the last one."""


class ObjectName(NamedTuple):
    """Which object it is."""

    namespace: str
    name: str
    uid: str


def decode_page(body: bytes) -> Page:
    """Read one page of a list, and none of its items."""
    page = decoded(_page, body, "a list")
    return Page(page.items or [], page.metadata.resource_version, page.metadata.more)


def decode_name(body: bytes) -> ObjectName:
    """Read which object it is."""
    found = decoded(_named, body, "an object").metadata
    if not (found.name and found.uid):
        raise KubernetesError("the answer is not an object (it has no name or uid)")
    return ObjectName(found.namespace, found.name, found.uid)


def decode_list_version(body: bytes) -> str:
    """Read the resourceVersion of a list of anything."""
    return str(decoded(_any_list, body, "a list").metadata.resource_version)


def decode_event(line: bytes) -> tuple[str, bytes]:
    """Read a watch line: its type, and the object's bytes."""
    event = decoded(_event, line, "a watch event")
    return event.type, bytes(event.object)


def decode_object(body: bytes) -> PodObject:
    """Read all that is ever needed of a pod."""
    whole: PodObject = decoded(_pod, body, "a pod")
    return whole


class EventHead(NamedTuple):
    """Of a watch event that is too large: what stands at its beginning."""

    kind: str
    object: ObjectName
    version: str


def decode_head(head: bytes) -> EventHead | None:
    """Read the beginning of a watch event; None where it does not begin as the API server's do."""
    found = _HEAD.match(head)
    if found is None:
        return None
    kind, name, namespace, uid, version = (text.decode() for text in found.groups())
    return EventHead(kind, ObjectName(namespace, name, uid), version)


def decode_pod(body: bytes) -> tuple[Pod, PodObject]:
    """Read a pod; the object holds what else is known of it."""
    whole = decode_object(body)
    return pod_of(whole), whole


def decode_listed_pod(body: bytes) -> Pod:
    """Read a pod as far as a drain needs it."""
    return pod_of(decode_object(body))


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
    """Take out what a drain needs; KubernetesError when it is no pod.

    Every living pod is kept in memory, so what many have alike is one object for all of them.
    """
    meta, spec, status = pod.metadata, pod.spec, pod.status
    if not (meta.uid and meta.name and meta.namespace):
        raise KubernetesError("the answer is not a pod (it has no name, namespace or uid)")
    ips = _addresses(_texts(status.pod_ip, status.pod_ips))
    disruption = _disruption(status)
    node_lost = disruption in NODE_LOST or status.phase == "Unknown"
    declared = [port for container in spec.containers or () for port in container.ports or ()]
    found = Pod(
        namespace=sys.intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        ip=ips[0] if ips else "",
        ips=ips,
        host_ips=_shared_addresses(_texts(status.host_ip, status.host_ips)),
        hostname=spec.hostname or meta.name,
        subdomain=spec.subdomain,
        node=sys.intern(spec.node_name),
        host_network=spec.host_network,
        mirror=meta.annotations is not None and meta.annotations.mirror is not None,
        ports=_ports(port.container_port for port in declared),
        host_ports=() if spec.host_network else _ports(port.host_port for port in declared),
        declares_ports=all(container.ports for container in spec.containers or ()),
        phase=sys.intern(status.phase),
        app_label=sys.intern(meta.labels.app_label) if meta.labels else "",
        created_at=meta.creation_timestamp,
        deletion_at=meta.deletion_timestamp,
        grace_seconds=meta.deletion_grace_period_seconds or 0,
        finished_at=finished_at(status, node_lost=node_lost),
        unready_at=unready_at(status) if node_lost else None,
        started=any(_has_run(one) for one in status.container_statuses or ()),
        disruption=disruption,
        annotations=(meta.annotations.ours if meta.annotations else {}) or _NO_ANNOTATIONS,
        owner=_owner(meta.owner_references or ()),
    )
    ended_at = proved_end(pod, found) if found.started else None
    return replace(found, ended_at=ended_at) if ended_at else found


def _ports(numbers: Iterable[int]) -> tuple[int, ...]:
    return _shared_ports(tuple(number for number in numbers if 0 < number < 65_536)[:MAX_PORTS])


@lru_cache(maxsize=1_024)
def _shared_ports(ports: tuple[int, ...]) -> tuple[int, ...]:
    return ports


def _texts(first: str, all_of_them: Iterable[PodAddress] | None) -> tuple[str, ...]:
    return (first, *(one.ip for one in all_of_them or ()))


def _addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    addresses = dict.fromkeys(canonical_address(text) for text in texts if text)
    return tuple(addresses)[:MAX_ADDRESSES]


_shared_addresses = lru_cache(maxsize=16_384)(_addresses)
"""One tuple for all pods of a node."""


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


def _has_run(container: ContainerStatus) -> bool:
    return any(state and (state.running or state.terminated) for state in (container.state, container.last_state))


def _disruption(status: PodStatus) -> str:
    reasons = (c.reason for c in status.conditions or () if c.type == "DisruptionTarget" and c.status == "True")
    return next(reasons, "")[:MAX_REFERENCE_LENGTH]
