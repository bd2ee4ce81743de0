"""Pods that an admission policy is shown, and what the real API server makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.manifests.rendering import Object
from tests.stack.cluster import Cluster
from tests.stack.kube_client import path


def a_container(name: str = "main", **fields: Any) -> Object:
    """Such as `restricted` takes."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": name, "image": "local", "securityContext": context} | fields


def a_spec(*containers: Object, **fields: Any) -> Object:
    """Such as `restricted` takes."""
    context = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "containers": list(containers) or [a_container()],
        "securityContext": context,
    } | fields


def a_pod(spec: Object | None = None, annotations: Mapping[str, str] | None = None) -> Object:
    return {"metadata": {"name": "orders-0", "annotations": dict(annotations or {})}, "spec": spec or a_spec()}


async def made(cluster: Cluster, namespace: str, pod: Object) -> Object:
    """What the API server makes of it; it is not kept."""
    return await cluster.client.call("POST", path("pods", namespace), body=pod, params={"dryRun": "All"})
