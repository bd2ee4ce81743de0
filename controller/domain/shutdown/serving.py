"""When a pod ends serving after the request to delete it: its serving containers' hooks, bounded by its grace period.

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
    """How long it waits for certain, however short the grace period is."""
    unknown: str = ""
    """What cannot be judged: its own hook, or another one that it waits for."""

    @property
    def at_least(self) -> float:
        """Return the seconds that are certain."""
        return min(self.hook_seconds, self.grace_seconds)

    @property
    def at_most(self) -> float:
        """Return the seconds that are possible when what cannot be judged takes as long as it may."""
        return self.grace_seconds if self.unknown else self.at_least

    @property
    def is_cut_off(self) -> bool:
        """Return whether the grace period ends the hook, and not the hook itself."""
        return self.hook_seconds >= self.grace_seconds and self.hook_seconds > 0

    @property
    def only_waits(self) -> bool:
        """Return whether the hook may be replaced by a sleep: it is there for nothing else."""
        return self.reading.only_waits and not self.unknown

    @property
    def hook_text(self) -> str:
        """Describe what the hook does; fit to follow a colon."""
        reading = self.reading
        if self.unknown:
            return f"{f'its {reading.kind} hook' if reading.unknown else 'it'} {self.unknown}, which cannot be judged"
        if reading.kind == "none" and not self.hook_seconds:
            return "it has no preStop hook"
        if not self.hook_seconds:
            return reading.note or f"its {reading.kind} hook waits for nothing"
        if self.hook_seconds > reading.seconds:
            return f"it ends after the others, which wait {seconds_text(self.hook_seconds)}"
        return f"its {reading.kind} hook waits {seconds_text(self.hook_seconds)}"


def container_shutdowns(pod: PodDetails) -> list[ContainerShutdown]:
    """Return one for each container, native sidecars last."""
    usual = [_shutdown(pod, one) for one in pod.containers if not one.native_sidecar]
    longest = max((one.hook_seconds for one in usual), default=0.0)
    unknown = next((f"ends after {one.container.name}, whose hook {one.unknown}" for one in usual if one.unknown), "")
    sidecars = [one for one in pod.containers if one.native_sidecar]
    return [*usual, *(_shutdown(pod, one, after=longest, unknown=unknown) for one in sidecars)]


def _shutdown(pod: PodDetails, container: Container, *, after: float = 0.0, unknown: str = "") -> ContainerShutdown:
    reading = read_hook(container.hook)
    return ContainerShutdown(
        container=container,
        reading=reading,
        # Without any grace the kubelet runs no hook. The API server takes a negative one for 1 s.
        grace_seconds=pod.grace_seconds if pod.grace_seconds >= 0 else 1,
        hook_seconds=max(reading.seconds, after),
        unknown=reading.unknown or unknown,
    )


def serving_containers(shutdowns: Sequence[ContainerShutdown], port: int | None) -> list[ContainerShutdown]:
    """Choose those that count: the containers that declare the app's port, else all but known sidecars, else all."""
    declaring = [one for one in shutdowns if port is not None and port in one.container.ports]
    own = [one for one in shutdowns if not one.container.native_sidecar and one.container.name not in KNOWN_SIDECARS]
    return declaring or own or list(shutdowns)


def whole_seconds_up(seconds: float) -> int:
    """Round up to whole seconds; a sleep of decades is as long as can be written."""
    return math.ceil(min(seconds, 10**9))


def seconds_text(seconds: float) -> str:
    """Describe how long it is; a sleep of decades has no end."""
    return f"{seconds:.10g} s" if seconds < 10**9 else "without end"
