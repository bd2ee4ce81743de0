"""Mutating webhooks of tests: what the API server is told of one."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tests.stack.cluster import Cluster

_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@asynccontextmanager
async def asked_about_pods(
    cluster: Cluster, name: str, address: str, authority: bytes, *, labels: Mapping[str, str]
) -> AsyncIterator[None]:
    """While this is open, the webhook is asked about each new pod of the namespaces with these labels, and must answer.

    ``address`` is a host and a port; ``authority``, in PEM, has issued its certificate.
    """
    webhook = {
        "name": f"{name}.tests.example",
        "clientConfig": {"url": f"https://{address}/", "caBundle": base64.b64encode(authority).decode()},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": dict(labels)},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
    }
    await cluster.client.create(_WEBHOOKS, {"metadata": {"name": name}, "webhooks": [webhook]}, None)
    try:
        yield
    finally:
        await cluster.client.delete(_WEBHOOKS, name, None)
