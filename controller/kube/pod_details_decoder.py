"""From a decoded pod to what decides how long it serves (hooks, ports, grace, template), and to its ends."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

import msgspec

from controller.bounds import MAX_CONTAINERS, MAX_HOOK_BYTES, MAX_HOOK_WORDS, MAX_PORTS, MAX_REFERENCE_LENGTH
from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import (
    DEFAULT_GRACE_SECONDS,
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
from controller.kube.pod_decoder import decode_object, decoded, pod_of
from controller.kube.pod_object import ContainerSpec, Labels, PodObject, PodSpec, PodStatus


class _Handler(msgspec.Struct, rename="camel"):
    """In the order in which the kubelet looks; the API server takes one kind only."""

    exec: Exec | None = None
    http_get: HttpGet | None = None
    sleep: Sleep | None = None
    tcp_socket: TcpSocket | None = None


_handler = msgspec.json.Decoder(_Handler | None)


def decode_details(body: bytes) -> PodDetails:
    """Read a pod, and how long it serves."""
    whole = decode_object(body)
    return _details(pod_of(whole), whole)


def details_of(pod: Pod, whole: PodObject) -> PodDetails | None:
    """Read how long this pod serves, or has served; None where that cannot be read, for its drain needs none of it."""
    try:
        return _details(pod, whole)
    except KubernetesError:
        return None


def _details(pod: Pod, whole: PodObject) -> PodDetails:
    labels = whole.metadata.labels or Labels()
    grace = whole.spec.termination_grace_period_seconds
    return PodDetails(
        pod=pod,
        containers=_containers(whole.spec),
        grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else grace,
        template=labels.template,
        generation=whole_number(labels.generation),
        rollout=labels.rollout_hash is not None,
        mirror=pod.mirror,
        ends=_ends(whole.status),
    )


def _ends(status: PodStatus) -> tuple[ContainerEnd, ...]:
    ended = (
        ContainerEnd(
            name=one.name[:MAX_REFERENCE_LENGTH],
            finished_at=end.finished_at,
            exit_code=end.exit_code,
            reason=end.reason[:MAX_REFERENCE_LENGTH],
        )
        for one in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
        if one.state is not None and (end := one.state.terminated) is not None and end.finished_at is not None
    )
    return tuple(islice(ended, MAX_CONTAINERS))


def _containers(spec: PodSpec) -> tuple[Container, ...]:
    described = [(one, False) for one in spec.containers or ()]
    described += [(one, True) for one in spec.init_containers or () if one.restart_policy == "Always"]
    found, room, ports_left = [], MAX_HOOK_BYTES, MAX_PORTS
    for one, native_sidecar in described[:MAX_CONTAINERS]:
        hook, room = _hook(one, room)
        ports = tuple(port.container_port for port in islice(one.ports or (), ports_left))
        ports_left -= len(ports)
        name = one.name[:MAX_REFERENCE_LENGTH]
        found.append(Container(name=name, hook=hook, ports=ports, native_sidecar=native_sidecar))
    return _shared(tuple(found))


@lru_cache(maxsize=1_024)
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
    if handler.exec is not None and len(handler.exec.command) > MAX_HOOK_WORDS:
        return TooLong(), room
    return handler.exec or handler.http_get or handler.sleep or handler.tcp_socket, room - len(body)


def whole_number(text: str | None) -> int:
    """Read what an owner wrote down as a number; 0 for anything else."""
    return int(text) if text and len(text) <= 18 and text.isascii() and text.isdigit() else 0
