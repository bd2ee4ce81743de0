"""The nodes on a real API server: each once, and what they say of themselves; where that is not allowed, nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from loguru import logger

from controller.domain.nodes import SHUTTING_DOWN, ClusterNode
from controller.kube import node_feed
from controller.kube.node_feed import KubeNodeFeed
from controller.signals import beside
from tests.contract.accounts import Accounts
from tests.contract.following import CountingApi, connected
from tests.contract.regions import clock
from tests.stack.cluster import Cluster
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Nodes:
    """Some nodes, and what a feed says of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.names = [f"test-{secrets.token_hex(4)}" for _ in range(3)]
        self.said: list[ClusterNode] = []

    async def set_ready(self, name: str, status: str, reason: str, message: str) -> None:
        condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
        await self._cluster.client.patch_status("nodes", name, {"conditions": [condition]}, None)

    def shutting_down(self, name: str) -> bool | None:
        """What it said last."""
        return next((node.shutting_down for node in reversed(self.said) if node.name == name), None)

    @asynccontextmanager
    async def followed(self, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountingApi]:
        """A feed, whose every word is kept."""
        async with connected(kubeconfig, monkeypatch) as api:
            feed = KubeNodeFeed(api, page_size=2, clock=clock)

            async def follow() -> None:
                async for node in feed.follow():
                    self.said.append(node)

            async with beside(follow):
                yield api


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(cluster: Cluster) -> AsyncIterator[Nodes]:
    """Three that nobody runs."""
    made = Nodes(cluster)
    for name in made.names:
        await cluster.client.create("nodes", {"metadata": {"name": name}}, None)
    yield made
    for name in made.names:
        await cluster.client.delete("nodes", name, None)


async def test_a_node_says_that_it_shuts_down_and_that_it_is_back(
    cluster: Cluster, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = nodes.names[0]
    await nodes.set_ready(name, "True", "KubeletReady", "kubelet is posting ready status")
    async with nodes.followed(cluster.kubeconfig, monkeypatch):
        await until(lambda: {*nodes.names} <= {node.name for node in nodes.said}, "every page")
        await nodes.set_ready(name, "False", "KubeletNotReady", SHUTTING_DOWN)
        await until(lambda: nodes.shutting_down(name), "shutting down")
        await nodes.set_ready(name, "True", "KubeletReady", "kubelet is posting ready status")
        await until(lambda: nodes.shutting_down(name) is False, "back")


async def test_a_watch_of_the_nodes_outlives_the_api_server(
    cluster: Cluster, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with nodes.followed(cluster.kubeconfig, monkeypatch):
        await until(lambda: nodes.said, "a list")
        await cluster.api.apiserver.restart()
        await nodes.set_ready(nodes.names[1], "False", "KubeletNotReady", f"[it is hot, {SHUTTING_DOWN}]")
        await until(lambda: nodes.shutting_down(nodes.names[1]), "shutting down", timeout=60)


async def test_where_nodes_are_forbidden_it_says_so_once_and_asks_seldom(
    nodes: Nodes, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.create("nobody")
    told: list[str] = []
    sink = logger.add(told.append, format="{level} {message}", filter=lambda one: "nodes may not" in one["message"])
    try:
        async with nodes.followed(await accounts.kubeconfig("nobody"), monkeypatch) as api:
            await until(lambda: told, "a line")
            await asyncio.sleep(2)
            assert len(api.queries) == 1
        monkeypatch.setattr(node_feed, "FORBIDDEN_INTERVAL", timedelta(milliseconds=100))
        await accounts.create("later", ("list", "", "nodes"))
        async with nodes.followed(await accounts.kubeconfig("later"), monkeypatch) as api:
            await until(lambda: len(api.queries) > 4, "some tries")
            assert {node.name for node in nodes.said} >= {*nodes.names}, "a list without a watch is of use"
    finally:
        logger.remove(sink)
    assert told[0].startswith("INFO")
    assert len(told) == 2, "one of each feed"
