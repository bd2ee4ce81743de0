"""From the API server's bytes to namespaces: what they say to the admission policies."""

from __future__ import annotations

import msgspec

from controller.domain.shutdown.opted_in import Namespace
from controller.kube.pod_decoder import decoded


class _NamespaceMetadata(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _NamespaceObject(msgspec.Struct):
    metadata: _NamespaceMetadata


_namespace = msgspec.json.Decoder(_NamespaceObject)


def decode_namespace(body: bytes) -> Namespace:
    """Read a namespace of a list."""
    metadata = decoded(_namespace, body, "a namespace").metadata
    return Namespace(name=metadata.name, labels=metadata.labels or {}, annotations=metadata.annotations or {})
