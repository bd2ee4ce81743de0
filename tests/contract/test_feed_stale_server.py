"""Two API servers on one etcd, of which the watch's own loses etcd: it goes on with bookmarks, and knows of nothing.

Whoever balances sends new connections to the other one by then; the watch's is open, and stays where it is.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
from loguru import logger

from controller.kube import feed as feed_module
from tests.contract.following import Following, connected, feed_of
from tests.contract.test_feed import create
from tests.stack.balancer import Balancer
from tests.stack.cluster import Cluster
from tests.stack.kubernetes_api import ADMIN
from tests.stack.toxiproxy import Proxy, Toxiproxy
from tests.stack.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def link(cluster: Cluster, toxiproxy: Toxiproxy) -> Proxy:
    """Between the second API server and etcd."""
    return await toxiproxy.before("etcd", cluster.api.etcd_port)


@pytest.mark.parametrize("way", ["hangs", "is reset"])
async def test_a_watch_leaves_an_api_server_that_has_lost_etcd(
    cluster: Cluster, namespace: str, link: Proxy, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    await create(cluster, namespace, "one")
    async with cluster.api.another_server(link.port) as port, Balancer(port) as balancer:
        kubeconfig = cluster.api.kubeconfig(ADMIN, port=balancer.port)
        async with (
            connected(kubeconfig, monkeypatch) as api,
            Following(feed_of(api, namespaces=[namespace])) as following,
        ):
            await until(lambda: following.lists, "a list")
            balancer.upstream = cluster.api.port
            await (link.hang() if way == "hangs" else link.reset())
            await cluster.client.delete("pods", "one", namespace)
            await until(
                lambda: [one for _, one in following.of(namespace) if one.terminating], "the pod that goes", timeout=60
            )


async def test_each_watch_is_asked_for_by_a_new_connection(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Balancer(cluster.api.port) as balancer:
        kubeconfig = cluster.api.kubeconfig(ADMIN, port=balancer.port)
        async with connected(kubeconfig, monkeypatch) as api, Following(feed_of(api, namespaces=[namespace])):
            await until(lambda: balancer.accepted >= 3, "two more connections", timeout=60)
            assert [one for one in api.queries if one.get("limit") == "1"]


async def test_a_watch_that_is_left_with_such_a_server_is_not_live(
    cluster: Cluster, namespace: str, link: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "LIVE_TIMEOUT", 14.0)
    said: list[str] = []
    sink = logger.add(said.append, format="{message}", filter=lambda record: record["level"].name == "WARNING")
    try:
        async with cluster.api.another_server(link.port) as port, Balancer(port) as balancer:
            kubeconfig = cluster.api.kubeconfig(ADMIN, port=balancer.port)
            async with (
                connected(kubeconfig, monkeypatch) as api,
                Following(feed_of(api, namespaces=[namespace])) as following,
            ):
                await until(lambda: following.feed.live, "live")
                await link.hang()
                await until(lambda: not following.feed.live, "not live any more", timeout=60)
                assert "does not say how far its cluster is" in "".join(said)
                await link.heal()
                await until(lambda: following.feed.live, "live again", timeout=60)
    finally:
        logger.remove(sink)
