"""Nodes that go: drained, cut off from everybody and back again, or gone with all that ran on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.domain.nodes import SHUTTING_DOWN
from tests.cluster.ending import (
    OUT,
    OUT_TIMEOUT,
    STATEFUL,
    Table,
    address_of,
    all_begin_to_end,
    ending,
    is_of,
    living,
    node_of,
)
from tests.cluster.home import INFRA, PRODUCT, SHOP
from tests.cluster.node import Node
from tests.cluster.scene import SILENT, Object, Scene, app_of, is_living
from tests.stack.waiting import until

pytestmark = pytest.mark.timeout(1500)
TAINT = "repaired"


async def test_a_node_that_is_drained_loses_its_pods_and_nobody_else(shop: Scene, table: Table) -> None:
    node = node_of(shop, (await living(shop, "orders"))[0])
    leaving = await on(shop, node)
    async with ending(shop, table, "node drained, with brokers and the product's own pods", leaving):
        try:
            words = ("drain", node.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=400s")
            await shop.kubectl(*words, timeout=420)
        finally:
            await shop.kubectl("uncordon", node.name)
        await everything_is_there(shop)


async def test_a_node_that_repels_its_pods_loses_them_and_nobody_else(shop: Scene, table: Table) -> None:
    node = await prepared(shop)
    leaving = await on(shop, node)
    async with ending(shop, table, "node tainted with NoExecute", leaving) as watched:
        await shop.kubectl("taint", "node", node.name, f"{TAINT}=:NoExecute")
        try:
            watched.began = await all_begin_to_end(shop, *(one["metadata"]["name"] for one in leaving))
        finally:
            await shop.kubectl("taint", "node", node.name, f"{TAINT}-")
        await everything_is_there(shop)


async def test_a_node_that_is_cut_off_is_out_and_stays_out_when_it_is_back(shop: Scene, table: Table) -> None:
    node = await prepared(shop)
    leaving = await on(shop, node)
    known = await shop.known()
    ids = {one["metadata"]["name"]: known[address_of(one)] for one in leaving}
    others = [known[address_of(one)] for one in await living(shop) if one["metadata"]["name"] not in ids]
    assert ids, "nothing of the shop is on that node"
    async with shop.watching([*ids.values(), *others]) as watched:
        await asyncio.to_thread(node.cut_off)
        try:
            asked = await all_begin_to_end(shop, *ids, timeout=300)
            await until(
                lambda: all(is_out_where_asked(watched.samples[one][-1].statuses) for one in ids.values()),
                "everything of the lost node out",
                timeout=OUT_TIMEOUT,
                interval=0.2,
            )
            took = time.monotonic() - min(asked.values())
        finally:
            await asyncio.to_thread(node.join_again)
        back = time.monotonic()
        for name in ids:
            await shop.drain_of(name, *OUT, timeout=300)
        await shop.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=200s", timeout=220)
        await everything_is_there(shop)
    for one in others:
        assert watched.ever_out(one) == [], f"{one} lives and was not UP"
    late = {
        one: [sample for sample in watched.samples[one] if sample.at > back + 60 and "UP" in sample.statuses]
        for one in ids.values()
        if app_of(one) not in STATEFUL
    }
    assert not any(late.values()), late
    table.add("node cut off, and back", len(ids), f"{took:.1f} s", len(others))


async def test_a_node_that_shuts_down_loses_its_pods_and_nobody_else(shop: Scene, table: Table) -> None:
    node = await prepared(shop)
    leaving = await on(shop, node)
    name, uids = f"node/{node.name}", {one["metadata"]["uid"] for one in leaving}
    async with ending(shop, table, "node shut down, with a grace period for its pods", leaving) as watched:
        off = asyncio.create_task(asyncio.to_thread(node.shut_down))
        await until(lambda: says_it_shuts_down(shop, node), f"{name} says that it shuts down", interval=0.3)
        watched.since = time.monotonic()
        await off
        assert {one["status"]["phase"] for one in await shop.pods(SHOP) if one["metadata"]["uid"] in uids} == {"Failed"}
        await asyncio.to_thread(node.begin)
        await asyncio.to_thread(node.begin_kubelet)
        await shop.kubectl("wait", "--for=condition=Ready", name, "--timeout=200s", timeout=220)
        await everything_is_there(shop)


async def test_a_machine_that_is_gone_takes_nobody_along(shop: Scene, table: Table) -> None:
    node = await prepared(shop)
    leaving = await on(shop, node)
    async with ending(shop, table, "machine gone, and its node deleted", leaving) as watched:
        await asyncio.to_thread(node.end)
        await shop.kubectl("delete", "node", node.name)
        watched.began = await all_begin_to_end(shop, *(one["metadata"]["name"] for one in leaving), timeout=300)
        await asyncio.to_thread(node.begin)
        await asyncio.to_thread(node.begin_kubelet)
        await until(lambda: is_known(shop, node), f"{node.name} known again", timeout=120, interval=1)
        await shop.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=200s", timeout=220)
        await everything_is_there(shop)


async def on(scene: Scene, node: Node) -> list[Object]:
    return [one for one in await living(scene) if one["spec"]["nodeName"] == node.name]


async def says_it_shuts_down(scene: Scene, node: Node) -> bool:
    said = await scene.kubectl(
        "get", "node", node.name, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
    )
    return SHUTTING_DOWN in said


async def is_known(scene: Scene, node: Node) -> bool:
    return f"node/{node.name}\n" in await scene.kubectl("get", "nodes", "-o", "name")


async def prepared(scene: Scene) -> Node:
    """Return the node that has one of the three brokers, after `ops`, by which drains are asked for, has left it."""
    counts = {node.name: 0 for node in scene.cluster.nodes}
    for pod in await scene.pods(INFRA, "rabbitmq"):
        counts[pod["spec"]["nodeName"]] += 1
    name = min(counts, key=lambda one: counts[one])
    [node] = [one for one in scene.cluster.nodes if one.name == name]
    [asked] = [one for one in await scene.pods(PRODUCT) if is_of(one, "ops") and is_living(one)]
    if asked["spec"]["nodeName"] == name:
        async with cordoned(scene, node):
            await scene.kubectl("-n", PRODUCT, "delete", "pod", asked["metadata"]["name"])
            await scene.rolled_out(PRODUCT, "deployment/eureka-drain-ops")
    if not await on(scene, node):
        [other] = [one for one in scene.cluster.nodes if one is not node]
        async with cordoned(scene, other):
            [first, *_] = await living(scene, "orders")
            await scene.kubectl("-n", SHOP, "delete", "pod", first["metadata"]["name"])
            await scene.rolled_out(SHOP, "deployment/orders")
    await scene.all_up(SHOP)
    return node


@asynccontextmanager
async def cordoned(scene: Scene, node: Node) -> AsyncIterator[None]:
    await scene.kubectl("cordon", node.name)
    try:
        yield
    finally:
        await scene.kubectl("uncordon", node.name)


async def everything_is_there(scene: Scene) -> None:
    """Wait for the servers, the product and the services; learn where Eureka's nodes are now."""
    for name in ("rabbitmq", "eureka"):
        await scene.rolled_out(INFRA, f"statefulset/{name}")
    await scene.find_nodes(INFRA)
    await scene.product_rolled_out()
    await scene.rolled_out(SHOP, "deployment/orders")
    await scene.rolled_out(SHOP, "statefulset/ledger")
    await scene.all_up(SHOP)


def is_out_where_asked(statuses: tuple[str | None, ...]) -> bool:
    """Whether every node that answers keeps it from callers, and one does answer."""
    return "UP" not in statuses and set(statuses) != {SILENT}
