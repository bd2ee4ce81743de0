"""The API server's bytes about nodes: names, and what the condition Ready says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.domain.nodes import ClusterNode
from controller.errors import KubernetesError
from controller.kube.node_decoder import decode_listed_node, decode_node
from controller.kube.pod_decoder import decode_page


def an_object(name: str = "node-a", *conditions: dict[str, Any]) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "node is shutting down"}
    others = [{"type": "MemoryPressure", "status": "False", "message": "enough"}]
    return {
        "metadata": {"name": name, "resourceVersion": "42", "managedFields": [{}]},
        "status": {"conditions": [*others, *(conditions or (ready,))], "images": [{"names": ["x"]}]},
    }


def test_a_node_is_read_with_its_condition_ready_alone() -> None:
    node, version = decode_node(json.dumps(an_object()).encode())
    assert (node.name, node.ready, node.reason, version) == ("node-a", "False", "KubeletNotReady", "42")
    assert node.shutting_down
    nothing = {"metadata": {"name": "young"}}
    page = {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [an_object(), nothing]}
    items, version, more = decode_page(json.dumps(page).encode())
    assert [decode_listed_node(bytes(one)) for one in items] == [node, ClusterNode(name="young")]
    assert (version, more) == ("7", "more")


@pytest.mark.parametrize(
    ("ready", "message", "shutting_down"),
    [
        ("True", "kubelet is posting ready status", False),
        ("False", "[PLEG is not healthy, node is shutting down]", True),
        ("False", "container runtime network not ready", False),
        ("Unknown", "Kubelet stopped posting node status.", None),
        ("", "", None),
    ],
)
def test_only_the_nodes_own_word_says_whether_it_shuts_down(
    ready: str, message: str, shutting_down: bool | None
) -> None:
    assert ClusterNode(name="node-a", ready=ready, message=message).shutting_down is shutting_down


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status": {}}', b'{"metadata": {"name": 1}}'])
def test_what_is_no_node_is_refused(body: bytes) -> None:
    with pytest.raises(KubernetesError, match="not a node"):
        decode_node(body)
