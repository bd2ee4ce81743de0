"""What is known of a pod that decides how long it serves after its deletion is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.domain.pods import Pod

DEFAULT_GRACE_SECONDS = 30
"""``terminationGracePeriodSeconds`` where nobody wrote one."""


@dataclass(frozen=True, slots=True)
class Exec:
    """Runs a command in the container, without a shell."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Sends a GET to the container, and waits for its answer."""

    path: str


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Deprecated: the API server takes it, and the kubelet cannot do it."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """The kubelet waits; nothing is needed in the image."""

    seconds: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """More text than a person writes there, which is not kept."""


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
    """How a container ended, as its node tells it; times are whole seconds, cut off."""

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
    """Of its containers, init containers among them, that have ended and are not running again."""
