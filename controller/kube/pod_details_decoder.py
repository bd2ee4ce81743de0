"""From the API server's bytes to what decides how long pods stay (hooks, ports, grace, templates), and to their ends.

Also the little that only the owners know: which of a workload's templates is the newest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

import msgspec

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
from controller.domain.shutdown.shell import MAX_HOOK_LENGTH
from controller.domain.shutdown.workloads import Template, Workload
from controller.errors import KubernetesError
from controller.kube.client import KubeApi
from controller.kube.listing import list_whole, pods_path
from controller.kube.pod_decoder import Time, decode_page, decoded
from controller.settings import WatchSettings

MIRROR = "kubernetes.io/config.mirror"
REVISION = "deployment.kubernetes.io/revision"
ROLLOUT_HASH = "rollouts-pod-template-hash"
TEMPLATE_HASHES = ("pod-template-hash", ROLLOUT_HASH, "controller-revision-hash")
GENERATION = "pod-template-generation"
MAX_CONTAINERS = 100


class _Exec(msgspec.Struct):
    command: list[str] | None = None


class _HttpGet(msgspec.Struct):
    path: str = "/"


class _TcpSocket(msgspec.Struct):
    pass


class _Sleep(msgspec.Struct):
    seconds: int = 0


class _Handler(msgspec.Struct, rename="camel"):
    exec: _Exec | None = None
    http_get: _HttpGet | None = None
    tcp_socket: _TcpSocket | None = None
    sleep: _Sleep | None = None


class _Lifecycle(msgspec.Struct, rename="camel"):
    pre_stop: _Handler | None = None


class _Port(msgspec.Struct, rename="camel"):
    container_port: int = 0


class _Container(msgspec.Struct, rename="camel"):
    name: str = ""
    ports: list[_Port] | None = None
    lifecycle: _Lifecycle | None = None
    restart_policy: str | None = None


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    termination_grace_period_seconds: int | None = None


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Terminated(msgspec.Struct, rename="camel"):
    finished_at: Time | None = None
    exit_code: int = 0
    reason: str = ""


class _State(msgspec.Struct):
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct):
    name: str = ""
    state: _State | None = None


class _Status(msgspec.Struct, rename="camel"):
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    """Native sidecars' too."""


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _PodList(msgspec.Struct):
    items: list[_Pod] | None = None


class _OwnerStatus(msgspec.Struct, rename="camel"):
    update_revision: str = ""


class _Owner(msgspec.Struct):
    metadata: _Metadata
    status: _OwnerStatus = msgspec.field(default_factory=_OwnerStatus)


_pods = msgspec.json.Decoder(_PodList)
_pod = msgspec.json.Decoder(_Pod)
_owner = msgspec.json.Decoder(_Owner)


def decode_details_page(body: bytes) -> tuple[list[PodDetails], str, str]:
    """Read one page of a list of pods, its resourceVersion, and the next page's token (empty: the last)."""
    pods, version, more = decode_page(body)
    described = decoded(_pods, body, "a list of pods").items or ()
    return [_to_stay(pod, one) for pod, one in zip(pods, described, strict=True)], version, more


def read_details(pod: Pod, body: bytes) -> PodDetails | None:
    """Read how this pod stays, or has stayed; None where that cannot be read, for its drain needs none of it."""
    try:
        return _to_stay(pod, decoded(_pod, body, "a pod"))
    except KubernetesError:
        return None


def _to_stay(pod: Pod, one: _Pod) -> PodDetails:
    labels = one.metadata.labels or {}
    grace = one.spec.termination_grace_period_seconds
    return PodDetails(
        pod=pod,
        containers=_containers(one.spec),
        grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else grace,
        template=next((text for name in TEMPLATE_HASHES if (text := labels.get(name))), ""),
        generation=_number(labels.get(GENERATION)),
        rollout=ROLLOUT_HASH in labels,
        mirror=MIRROR in (one.metadata.annotations or {}),
        ends=_ends(one.status),
    )


def _ends(status: _Status) -> tuple[ContainerEnd, ...]:
    return tuple(
        ContainerEnd(name=one.name, finished_at=end.finished_at, exit_code=end.exit_code, reason=end.reason)
        for one in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
        if one.state is not None and (end := one.state.terminated) is not None and end.finished_at is not None
    )


def _containers(spec: _Spec) -> tuple[Container, ...]:
    described = [(one, False) for one in spec.containers or ()]
    described += [(one, True) for one in spec.init_containers or () if one.restart_policy == "Always"]
    found, room = [], MAX_HOOK_LENGTH
    for one, native_sidecar in described[:MAX_CONTAINERS]:
        container = _container(one, native_sidecar=native_sidecar)
        size = _size(container.hook)
        if size > room:
            container = replace(container, hook=TooLong())
        else:
            room -= size
        found.append(container)
    return _shared(tuple(found))


def _size(hook: Hook) -> int:
    """Characters: whoever may create pods writes them, and the watch keeps them for a while."""
    match hook:
        case Exec(command=command):
            return sum(map(len, command))
        case HttpGet(path=path):
            return len(path)
        case _:
            return 0


@lru_cache(maxsize=4_096)
def _shared(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    """One for all pods of a template: every pod of the cluster is kept until it is judged."""
    return containers


def _container(container: _Container, *, native_sidecar: bool) -> Container:
    return Container(
        name=container.name,
        hook=_hook(container.lifecycle.pre_stop if container.lifecycle else None),
        ports=tuple(port.container_port for port in container.ports or ())[:64],
        native_sidecar=native_sidecar,
    )


def _hook(handler: _Handler | None) -> Hook:
    """In the order in which the kubelet looks; the API server takes one kind only."""
    if handler is None:
        return None
    if handler.exec is not None:
        return Exec(tuple(handler.exec.command or ()))
    if handler.http_get is not None:
        return HttpGet(handler.http_get.path)
    if handler.sleep is not None:
        return Sleep(handler.sleep.seconds)
    return TcpSocket() if handler.tcp_socket is not None else None


def _number(text: str | None) -> int:
    return int(text) if text and len(text) <= 18 and text.isascii() and text.isdigit() else 0


async def list_details(api: KubeApi, watch: WatchSettings) -> list[PodDetails]:
    """Every pod that the controller watches. KubernetesError unless every list is complete."""
    found: list[PodDetails] = []
    selectors = {"labelSelector": watch.label_selector} if watch.label_selector else {}
    for namespace in watch.scopes:
        pods, _ = await list_whole(api, pods_path(namespace), watch.page_size, decode_details_page, selectors)
        found += [pod for pod in pods if pod.pod.namespace not in watch.exclude_namespaces]
    return found


async def read_revisions(api: KubeApi, workload: Workload, templates: Iterable[Template]) -> dict[str, int]:
    """Ask a workload's owners how new each template is (the larger, the newer); nothing for kinds that do not say.

    KubernetesError, of which ForbiddenError, when they cannot be asked.
    """
    where = f"/apis/apps/v1/namespaces/{quote(workload.namespace, safe='')}"
    if workload.kind == "Deployment":
        found = {}
        for one in templates:
            owner = decoded(
                _owner, await api.get(f"{where}/replicasets/{quote(one.made_by, safe='')}", {}), "a ReplicaSet"
            )
            found[one.hash] = _number((owner.metadata.annotations or {}).get(REVISION))
        return found
    if workload.kind == "StatefulSet":
        body = await api.get(f"{where}/statefulsets/{quote(workload.name, safe='')}", {})
        return {decoded(_owner, body, "a StatefulSet").status.update_revision: 1}
    return {}
