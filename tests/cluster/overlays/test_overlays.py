"""Each overlay, applied as it stands, drains a rolling restart; and the pods that are not its business are let be."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.cluster import manifests
from tests.cluster.ending import Table, address_of, living
from tests.cluster.home import INFRA, PRODUCT, SHOP
from tests.cluster.overlays.installing import (
    applied,
    assert_nothing_is_wrong,
    give_secrets,
    load_local_image,
    own_namespace,
    region,
    regions_of,
    roll_out,
    services,
)
from tests.cluster.scene import Scene
from tests.install.desk import Desk

pytestmark = pytest.mark.timeout(1_200)


async def test_the_demo_brings_all_that_it_needs(scene: Scene, desk: Desk, table: Table) -> None:
    await load_local_image(scene)
    async with applied(desk, "demo"), aclosing(Scene(scene.cluster)) as demo:
        await demo.apply(PRODUCT, manifests.watchers())
        await asyncio.gather(*(demo.rolled_out(PRODUCT, f"statefulset/{name}") for name in ("rabbitmq", "eureka")))
        await demo.product_rolled_out("watch", "work", "ops")
        await demo.find_nodes(PRODUCT)
        async with services(demo, SHOP, eureka=PRODUCT):
            await roll_out(demo, table, "rolled out, by the overlay `demo`", SHOP)
            await assert_nothing_is_wrong(demo, "ops")


async def test_each_region_drains_what_registers_in_it(scene: Scene, desk: Desk, table: Table) -> None:
    async with (
        region(scene, "eu") as eu,
        region(scene, "us") as us,
        services(eu, SHOP, eureka="eu"),
        services(us, "shop-us", eureka="us"),
        applied(desk, "multi-region"),
    ):
        await give_secrets(scene, "topology", "watch", "work", "ops", "sweep")
        await scene.product_rolled_out("topology", "watch", "work-eu", "work-us", "ops")
        known = await eu.known()
        at_home = [known[address_of(one)] for one in await living(eu, "orders")]
        async with eu.watching(at_home) as watched:
            gone = await roll_out(us, table, "rolled out in one of two regions (`multi-region`)", "shop-us")
        assert [one for one in at_home if watched.ever_out(one)] == []
        assert await regions_of(scene, gone) == {one: {"us"} for one in gone}
        gone = await roll_out(eu, table, "rolled out in the other region", SHOP)
        assert await regions_of(scene, gone) == {one: {"eu"} for one in gone}
        await assert_nothing_is_wrong(scene, "ops")


async def test_who_owns_only_namespaces_drains_those(scene: Scene, desk: Desk, table: Table) -> None:
    tokens = {
        "ops__viewer_token": "viewer-not-a-secret-not-a-secret",
        "ops__operator_token": "operator-not-a-secret-too",
    }
    async with (
        own_namespace(scene, PRODUCT),
        services(scene, SHOP, eureka=INFRA),
        services(scene, "elsewhere", eureka=INFRA),
        applied(desk, "namespaced"),
    ):
        await give_secrets(scene, "watch", "work", "sweep")
        await give_secrets(scene, "ops", **tokens)
        await scene.product_rolled_out("watch", "work", "ops")
        await roll_out(scene, table, "rolled out in the namespace that is watched (`namespaced`)", SHOP)
        others = [one["metadata"]["name"] for one in await living(scene, "orders", namespace="elsewhere")]
        await scene.kubectl("-n", "elsewhere", "rollout", "restart", "deployment/orders")
        await scene.rolled_out("elsewhere", "deployment/orders")
        await assert_nothing_is_wrong(scene, "watch")
        assert await regions_of(scene, others) == {one: set() for one in others}
