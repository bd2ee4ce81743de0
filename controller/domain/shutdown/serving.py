"""When a pod ends serving after its deletion is asked for: its serving containers' hooks, bounded by its grace period.

Every container's hook starts at once, and its SIGTERM follows the hook. The grace period runs from the beginning and
covers both; a hook that is still running when it ends is cut off, and the application gets 2 s before SIGKILL. Native
sidecars get their SIGTERM when the other containers have ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.domain.shutdown.hooks import HookReading, read_hook
from controller.domain.shutdown.pod_details import Container, PodDetails

MIN_SIGTERM_SECONDS = 2
"""Seconds that the kubelet leaves between SIGTERM and SIGKILL, whatever the hook has used up."""
KNOWN_PROXIES = {
    *("consul-connect-envoy-sidecar", "consul-dataplane", "daprd", "envoy", "envoy-sidecar", "istio-proxy"),
    *("kuma-sidecar", "linkerd-proxy", "oauth2-proxy", "queue-proxy"),
}
"""The application's calls go through them: when they end, it serves no more."""
KNOWN_SIDECARS = KNOWN_PROXIES | {
    *("aws-otel-collector", "cloud-sql-proxy", "cloudsql-proxy", "config-reloader", "datadog-agent", "filebeat"),
    *("fluent-bit", "fluentbit", "fluentd", "git-sync", "jaeger-agent", "jmx-exporter", "opentelemetry-collector"),
    *("otc-container", "otel-collector", "promtail", "vault-agent", "vector"),
}
"""By the names that their own installers give them; they serve nobody in the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerShutdown:
    """How long one container goes on serving."""

    container: Container
    reading: HookReading
    grace_seconds: int
    hook_seconds: float
    """What it waits for certain, however short the grace period is."""
    unknown: str = ""
    """What of it cannot be judged."""

    @property
    def at_least(self) -> float:
        """Seconds for certain."""
        return min(self.hook_seconds, self.grace_seconds)

    @property
    def at_most(self) -> float:
        """Seconds, when what cannot be judged takes as long as it may."""
        return self.grace_seconds if self.unknown else self.at_least

    @property
    def cut_off(self) -> bool:
        """Whether the grace period ends the hook, and not the hook itself."""
        return self.hook_seconds >= self.grace_seconds and self.hook_seconds > 0

    @property
    def only_waits(self) -> bool:
        """Whether the hook may be replaced by a sleep: it is there for nothing else."""
        return not self.reading.course.acts and not self.unknown


def container_shutdowns(pod: PodDetails) -> list[ContainerShutdown]:
    """Every container's stay, native sidecars last."""
    usual = [one for one in pod.containers if not one.native_sidecar]
    stays = [_stay(pod, one) for one in usual]
    longest = max((stay.hook_seconds for stay in stays), default=0.0)
    doubts = next((f"ends after {one.container.name}, whose hook {one.unknown}" for one in stays if one.unknown), "")
    sidecars = [one for one in pod.containers if one.native_sidecar]
    return [*stays, *(_stay(pod, one, after=longest, doubts=doubts) for one in sidecars)]


def _stay(pod: PodDetails, container: Container, *, after: float = 0.0, doubts: str = "") -> ContainerShutdown:
    reading = read_hook(container.hook)
    return ContainerShutdown(
        container=container,
        reading=reading,
        # Without any grace the kubelet runs no hook. The API server takes a negative one for 1 s.
        grace_seconds=pod.grace_seconds if pod.grace_seconds >= 0 else 1,
        hook_seconds=max(reading.course.seconds, after),
        unknown=reading.course.unknown or doubts,
    )


def serving_containers(stays: Sequence[ContainerShutdown], port: int | None) -> list[ContainerShutdown]:
    """Those that count: the containers that declare the app's port, else all but known sidecars, else all."""
    declaring = [stay for stay in stays if port is not None and port in stay.container.ports]
    own = [stay for stay in stays if not stay.container.native_sidecar and stay.container.name not in KNOWN_SIDECARS]
    return declaring or own or list(stays)


def whole_seconds_up(seconds: float) -> int:
    """Whole seconds that hold it; a sleep without end is as long as can be told."""
    return math.ceil(min(seconds, 10**9))
