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


class _NodeListMetadata(msgspec.Struct, rename={"resource_version": "resourceVersion", "more": "continue"}):
    resource_version: Version
    more: str = ""


class _NodeList(msgspec.Struct):
    metadata: _NodeListMetadata
    items: list[_NodeObject] | None = None


_node = msgspec.json.Decoder(_NodeObject)
_nodes = msgspec.json.Decoder(_NodeList)


def decode_nodes_page(body: bytes) -> tuple[list[ClusterNode], str, str]:
    """Read one page of a list: its nodes, the list's resourceVersion, the next page's token (empty: the last)."""
    page: _NodeList = decoded(_nodes, body, "a list of nodes")
    return [_node_of(one) for one in page.items or ()], page.metadata.resource_version, page.metadata.more


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
