"""What is known of a pod that decides how long it serves after the request to delete it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.domain.pods import Pod

DEFAULT_GRACE_SECONDS = 30
"""``terminationGracePeriodSeconds`` where nobody wrote one."""


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command in the container, without a shell."""

    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Send a GET to the container, and wait for its answer."""

    path: str = "/"


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Open a connection: deprecated, accepted by the API server, and impossible for the kubelet."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let the kubelet wait; nothing is needed in the image."""

    seconds: int = 0


@dataclass(frozen=True, slots=True)
class TooLong:
    """A hook of any kind that is larger than bounds allow, and is not kept."""


Hook = Exec | HttpGet | TcpSocket | Sleep | TooLong | None
"""A container's ``lifecycle.preStop``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of a pod."""

    name: str
    hook: Hook = None
    ports: tuple[int, ...] = ()
    """Those that it declares."""
    native_sidecar: bool = False
    """An init container that is always restarted: it ends after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """How a container ended, as its node reports it; times are whole seconds, cut off."""

    name: str
    finished_at: datetime
    exit_code: int = 0
    reason: str = ""
    """One word: Completed, Error, OOMKilled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDetails:
    """A pod, its containers, and the template that it was made from."""

    pod: Pod
    containers: tuple[Container, ...] = ()
    """Native sidecars too; no other init containers."""
    grace_seconds: int = DEFAULT_GRACE_SECONDS
    """``spec.terminationGracePeriodSeconds``."""
    template: str = ""
    """The hash that its Deployment, StatefulSet or DaemonSet gives to each template; empty without one."""
    generation: int = 0
    """A DaemonSet's generation when it made the pod; 0 where nobody wrote one."""
    rollout: bool = False
    """Made by an Argo Rollout."""
    mirror: bool = False
    """A static pod: its node's kubelet reads it from a file."""
    ends: tuple[ContainerEnd, ...] = ()
    """One for each container, init containers among them, that has ended and is not running again."""


def weight_of(details: PodDetails) -> int:
    """Return about how many bytes it takes; pods of one template share their containers, which is not counted on."""
    return 2_000 + sum(200 + 40 * len(one.ports) + _weight_of_hook(one.hook) for one in details.containers)


def _weight_of_hook(hook: Hook) -> int:
    if isinstance(hook, Exec):
        return sum(60 + len(word) for word in hook.command)
    return len(hook.path) if isinstance(hook, HttpGet) else 0
