"""From a kubelet's own configuration (``configz``): how long it lets pods serve when its node shuts down."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from controller.errors import KubernetesError
from controller.kube.pod_decoder import decoded

_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(h|ms|us|µs|ns|m|s)", re.ASCII)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
USUAL_PRIORITY = 0
"""Of a pod without a PriorityClass."""


class _PodPriority(msgspec.Struct, rename="camel"):
    priority: int = 0
    shutdown_grace_period_seconds: int = 0


class _KubeletConfig(msgspec.Struct, rename="camel"):
    shutdown_grace_period: str = "0s"
    shutdown_grace_period_critical_pods: str = "0s"
    shutdown_grace_period_by_pod_priority: list[_PodPriority] | None = None


class _Configz(msgspec.Struct):
    kubeletconfig: _KubeletConfig


_configz = msgspec.json.Decoder(_Configz)


def decode_node_shutdown(body: bytes) -> timedelta:
    """Return how long a pod without a priority may serve; zero where the node's shutdown waits for no pod."""
    config: _KubeletConfig = decoded(_configz, body, "a kubelet's configuration").kubeletconfig
    if config.shutdown_grace_period_by_pod_priority:
        groups = sorted(config.shutdown_grace_period_by_pod_priority, key=lambda group: group.priority)
        # A pod belongs to the highest group that is not above it; below all, to the lowest.
        own = [group for group in groups if group.priority <= USUAL_PRIORITY] or groups[:1]
        return timedelta(seconds=max(own[-1].shutdown_grace_period_seconds, 0))
    lasts = _duration(config.shutdown_grace_period) - _duration(config.shutdown_grace_period_critical_pods)
    return max(lasts, timedelta(0))


def _duration(text: str) -> timedelta:
    """Read a duration as Go writes it, such as ``1m35s``."""
    parts = _PARTS.findall(text)
    if "".join(f"{number}{unit}" for number, unit in parts) != text or not parts:
        if text in ("", "0"):
            return timedelta(0)
        raise KubernetesError(f"a kubelet's configuration with {text[:40]!r} for a duration")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
