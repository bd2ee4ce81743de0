"""From a decoded pod to what decides how long it serves (hooks, ports, grace, template), and to its ends."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import (
    DEFAULT_GRACE_SECONDS,
    MAX_HOOK_BYTES,
    Container,
    ContainerEnd,
    Exec,
    Hook,
    HttpGet,
    PodDetails,
    Sleep,
    TcpSocket,
    TooLong,
)
from controller.errors import KubernetesError
from controller.kube.pod_decoder import decode_list, decoded, pod_of
from controller.kube.pod_object import ContainerSpec, PodObject, PodSpec, PodStatus

ROLLOUT_HASH = "rollouts-pod-template-hash"
TEMPLATE_HASHES = ("pod-template-hash", ROLLOUT_HASH, "controller-revision-hash")
GENERATION = "pod-template-generation"
MAX_CONTAINERS = 100
MAX_PORTS = 64


class _Handler(msgspec.Struct, rename="camel"):
    """In the order in which the kubelet looks; the API server takes one kind only."""

    exec: Exec | None = None
    http_get: HttpGet | None = None
    sleep: Sleep | None = None
    tcp_socket: TcpSocket | None = None


_handler = msgspec.json.Decoder(_Handler | None)


def decode_details_page(body: bytes) -> tuple[list[PodDetails], str, str]:
    """Read one page of a list of pods, its resourceVersion, and the next page's token (empty: the last)."""
    pods, version, more = decode_list(body)
    return [_details(pod_of(one), one) for one in pods], version, more


def details_of(pod: Pod, whole: PodObject) -> PodDetails | None:
    """Read how long this pod serves, or has served; None where that cannot be read, for its drain needs none of it."""
    try:
        return _details(pod, whole)
    except KubernetesError:
        return None


def _details(pod: Pod, whole: PodObject) -> PodDetails:
    labels = whole.metadata.labels or {}
    grace = whole.spec.termination_grace_period_seconds
    return PodDetails(
        pod=pod,
        containers=_containers(whole.spec),
        grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else grace,
        template=next((text for name in TEMPLATE_HASHES if (text := labels.get(name))), ""),
        generation=whole_number(labels.get(GENERATION)),
        rollout=ROLLOUT_HASH in labels,
        mirror=pod.mirror,
        ends=_ends(whole.status),
    )


def _ends(status: PodStatus) -> tuple[ContainerEnd, ...]:
    return tuple(
        ContainerEnd(name=one.name, finished_at=end.finished_at, exit_code=end.exit_code, reason=end.reason)
        for one in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
        if one.state is not None and (end := one.state.terminated) is not None and end.finished_at is not None
    )


def _containers(spec: PodSpec) -> tuple[Container, ...]:
    described = [(one, False) for one in spec.containers or ()]
    described += [(one, True) for one in spec.init_containers or () if one.restart_policy == "Always"]
    found, room = [], MAX_HOOK_BYTES
    for one, native_sidecar in described[:MAX_CONTAINERS]:
        hook, room = _hook(one, room)
        ports = tuple(port.container_port for port in one.ports or ())[:MAX_PORTS]
        found.append(Container(name=one.name, hook=hook, ports=ports, native_sidecar=native_sidecar))
    return _shared(tuple(found))


@lru_cache(maxsize=4_096)
def _shared(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    """Keep one for all pods of a template: a pod on its way out is kept until it has ended."""
    return containers


def _hook(container: ContainerSpec, room: int) -> tuple[Hook, int]:
    """Read a preStop hook of at most ``room`` bytes, and return what room is left: it may be of any size."""
    if container.lifecycle is None:
        return None, room
    body = container.lifecycle.pre_stop
    if len(body) > room:
        return TooLong(), room
    handler: _Handler | None = decoded(_handler, body, "a hook")
    if handler is None:
        return None, room
    return handler.exec or handler.http_get or handler.sleep or handler.tcp_socket, room - len(body)


def whole_number(text: str | None) -> int:
    """Read what an owner wrote down as a number; 0 for anything else."""
    return int(text) if text and len(text) <= 18 and text.isascii() and text.isdigit() else 0
