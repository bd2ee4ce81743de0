"""From the API server's bytes to nodes: their names, and what the condition Ready says."""

from __future__ import annotations

import msgspec

from controller.domain.nodes import ClusterNode
from controller.kube.pod_decoder import decoded
from controller.kube.pod_object import Version


class _NodeMetadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: Version = ""


class _NodeCondition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _NodeStatus(msgspec.Struct):
    conditions: list[_NodeCondition] | None = None


class _NodeObject(msgspec.Struct):
    metadata: _NodeMetadata
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


_node = msgspec.json.Decoder(_NodeObject)


def decode_listed_node(body: bytes) -> ClusterNode:
    """Read a node of a list."""
    return decode_node(body)[0]


def decode_node(body: bytes) -> tuple[ClusterNode, str]:
    """Read a node, and its resourceVersion."""
    whole: _NodeObject = decoded(_node, body, "a node")
    return _node_of(whole), whole.metadata.resource_version


def _node_of(whole: _NodeObject) -> ClusterNode:
    name = whole.metadata.name
    for one in whole.status.conditions or ():
        if one.type == "Ready":
            return ClusterNode(name=name, ready=one.status, reason=one.reason, message=one.message)
    return ClusterNode(name=name)
