"""How old what a pod calls by may become, by the environment of its containers: what eureka-clients gives."""

from __future__ import annotations

import msgspec

from controller.kube.pod_decoder import decoded
from controller.kube.pod_details_decoder import whole_number

FETCH = "eurekaclientregistryfetchintervalseconds"
"""The variable's name as Spring reads it: it takes no notice of case, nor of what stands between."""
MAX_CONTAINERS = 20
"""Of a pod: the policy gives it to no more."""


class _Variable(msgspec.Struct):
    name: str = ""
    value: str = ""


class _CallingContainer(msgspec.Struct):
    env: list[_Variable] | None = None


class _CallingSpec(msgspec.Struct):
    containers: list[_CallingContainer] | None = None


class _CallingPod(msgspec.Struct):
    spec: _CallingSpec = msgspec.field(default_factory=_CallingSpec)


_pod = msgspec.json.Decoder(_CallingPod)


def decode_fetch_seconds(body: bytes) -> int | None:
    """Return the longest interval at which one of a pod's containers fetches; None where one of them says nothing."""
    containers = (decoded(_pod, body, "a pod").spec.containers or ())[:MAX_CONTAINERS]
    intervals = [
        max((whole_number(one.value) for one in container.env or () if _plain(one.name) == FETCH), default=0)
        for container in containers
    ]
    return max(intervals) if intervals and all(intervals) else None


def _plain(name: str) -> str:
    return name.lower().translate({ord(mark): None for mark in "_-."})
