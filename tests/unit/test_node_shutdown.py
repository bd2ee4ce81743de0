"""How long nodes that shut down let pods serve: what kubelets say, and what is advised."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from controller.domain.shutdown.node_shutdown import node_shutdown_notes
from controller.domain.shutdown.window import STOCK
from controller.errors import KubernetesError
from controller.kube.client import KubeForbiddenError
from controller.kube.kubelet_decoder import decode_node_shutdown
from controller.kube.kubelets import MAX_NODES, ask_kubelets
from tests.unit.test_pod_details_decoder import Api

PRIORITIES = "shutdownGracePeriodByPodPriority"


def configz(**config: Any) -> bytes:
    return json.dumps({"kubeletconfig": {"port": 10250, **config}}).encode()


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({}, 0),
        ({"shutdownGracePeriod": "0s", "shutdownGracePeriodCriticalPods": "0s"}, 0),
        ({"shutdownGracePeriod": "1m45s", "shutdownGracePeriodCriticalPods": "10s"}, 95),
        ({"shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "30s"}, 0),
        ({"shutdownGracePeriod": "1h0m0.5s"}, 3600.5),
        ({PRIORITIES: [{"priority": 0, "shutdownGracePeriodSeconds": 100}]}, 100),
        (
            {
                PRIORITIES: [
                    {"priority": 100_000, "shutdownGracePeriodSeconds": 10},
                    {"priority": -5, "shutdownGracePeriodSeconds": 60},
                    {"priority": 1, "shutdownGracePeriodSeconds": 20},
                ]
            },
            60,
        ),
        ({PRIORITIES: [{"priority": 10, "shutdownGracePeriodSeconds": 7}]}, 7),
        ({PRIORITIES: [{"priority": 0, "shutdownGracePeriodSeconds": -7}]}, 0),
        ({PRIORITIES: None, "shutdownGracePeriod": "20s"}, 20),
    ],
)
def test_what_a_kubelet_lets_a_usual_pod_serve(config: dict[str, Any], seconds: float) -> None:
    assert decode_node_shutdown(configz(**config)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", configz(shutdownGracePeriod="soon"), configz(**{PRIORITIES: 5})]
)
def test_nonsense_is_an_error(body: bytes) -> None:
    with pytest.raises(KubernetesError):
        decode_node_shutdown(body)


def test_nodes_that_give_too_little_are_named_with_the_setting() -> None:
    lets = {"a": timedelta(0), "b": timedelta(seconds=95), "c": timedelta(0), "d": timedelta(seconds=30)}
    none, little = node_shutdown_notes(lets, STOCK.usual)
    assert "gives pods without a priority 0s of the 95s that callers need" in none
    assert ": a, c (" in none
    assert ": d (" in little
    assert "shutdownGracePeriod: 105s, shutdownGracePeriodCriticalPods: 10s" in little
    assert node_shutdown_notes({"b": timedelta(seconds=95)}, STOCK.usual) == ()


def paths(*nodes: str) -> list[str]:
    return [f"/api/v1/nodes/{node}/proxy/configz" for node in nodes]


async def asked(answers: dict[str, Any], *nodes: str) -> tuple[dict[str, timedelta], tuple[str, ...], list[str]]:
    api = Api({path: [answer] for path, answer in answers.items()})
    lets, doubts = await ask_kubelets(api, nodes)  # type: ignore[arg-type]
    return lets, doubts, [path for path, _ in api.asked]


async def test_each_node_is_asked_once_and_one_that_is_gone_says_nothing() -> None:
    answers = dict(zip(paths("a", "b"), [configz(shutdownGracePeriod="1m"), configz()], strict=True))
    lets, doubts, where = await asked(answers, "a", "", "b", "gone", "a")
    assert lets == {"a": timedelta(minutes=1), "b": timedelta(0)}
    assert doubts == ()
    assert where == paths("a", "b", "gone")


async def test_where_it_is_not_allowed_one_question_is_enough() -> None:
    answers = {paths("a")[0]: KubeForbiddenError("HTTP 403: nodes/proxy")}
    lets, (doubt,), where = await asked(answers, "a", "b")
    assert lets == {}
    assert doubt == "nodes were not asked how long pods may serve when a node shuts down: HTTP 403: nodes/proxy"
    assert where == paths("a")


async def test_what_one_kubelet_does_not_say_the_others_do() -> None:
    answers = dict(zip(paths("a", "b"), [KubernetesError("HTTP 502"), configz(shutdownGracePeriod="9s")], strict=True))
    lets, (doubt,), _ = await asked(answers, "a", "b")
    assert lets == {"b": timedelta(seconds=9)}
    assert doubt.startswith("1 node was not asked")


async def test_of_very_many_nodes_some_are_asked() -> None:
    _, _, where = await asked({}, *(f"node-{number}" for number in range(MAX_NODES + 9)))
    assert len(where) == MAX_NODES
