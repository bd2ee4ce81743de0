"""Two API servers on one etcd, of which one loses it: watches that it has go on, from what it remembers."""

from __future__ import annotations

from tests.cluster.ending import Table, ending, living
from tests.cluster.home import PRODUCT, SECOND_API_ADDRESS, SHOP
from tests.cluster.scene import Scene

WITHIN = 60.0
"""Seconds: 15 until the first doubt, and then kube-proxy may choose the same one until that is off the list."""


async def test_a_pod_ends_while_the_watchs_api_server_is_cut_off_from_etcd(shop: Scene, table: Table) -> None:
    cluster = shop.cluster
    cluster.hub.begin_second_api_server()
    try:
        for node in cluster.nodes:
            node.send_pods_to(SECOND_API_ADDRESS)
        await shop.kubectl("-n", PRODUCT, "rollout", "restart", "deployment/eureka-drain-watch")
        await shop.rolled_out(PRODUCT, "deployment/eureka-drain-watch")
        [first, *_] = await living(shop, "orders")
        way = "deleted while the watch's API server has lost etcd"
        async with ending(shop, table, way, [first], within=WITHIN):
            for node in cluster.nodes:
                node.send_pods_to_any(SECOND_API_ADDRESS)
            cluster.hub.cut_off_second_api_server()
            await shop.kubectl("-n", SHOP, "delete", "pod", first["metadata"]["name"], "--wait=false")
    finally:
        for node in cluster.nodes:
            node.send_pods_to_any(SECOND_API_ADDRESS)
        cluster.hub.end_second_api_server()
    await shop.rolled_out(SHOP, "deployment/orders")
