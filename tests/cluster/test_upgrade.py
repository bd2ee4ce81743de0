"""eureka-drain is upgraded from an older version, and put back to it, each in the middle of a rollout of others.

Commands of the one are in queues and delays when the other takes over, and both are there at the same time.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.ending import Table, all_begin_to_end, ending, ends_or_has_ended, living
from tests.cluster.home import PRODUCT, SHOP
from tests.cluster.images import OLDER_PRODUCT_IMAGE, PRODUCT_IMAGE
from tests.cluster.scene import ROLES, Scene
from tests.stack.waiting import until

pytestmark = pytest.mark.timeout(1_500)


async def test_a_rollout_that_meets_an_upgrade_or_a_way_back_misses_nobody(shop: Scene, table: Table) -> None:
    await change_to(shop, OLDER_PRODUCT_IMAGE)
    try:
        await shop.product_rolled_out()
        await meet(shop, table, "rolled out while eureka-drain is upgraded from an older version", PRODUCT_IMAGE)
        await meet(shop, table, "rolled out while eureka-drain is put back to it", OLDER_PRODUCT_IMAGE)
    finally:
        await change_to(shop, PRODUCT_IMAGE)
        await shop.product_rolled_out()


async def meet(shop: Scene, table: Table, way: str, image: str) -> None:
    """Roll out the shop, and, as soon as its first pod ends, the product."""
    leaving = await living(shop, "orders")
    names = [one["metadata"]["name"] for one in leaving]
    async with ending(shop, table, way, leaving) as watched:
        await shop.kubectl("-n", SHOP, "rollout", "restart", "deployment/orders")
        changing = asyncio.create_task(change_once_one_ends(shop, names, image))
        watched.began = await all_begin_to_end(shop, *names, timeout=300)
        await changing
        await shop.product_rolled_out()
    await shop.rolled_out(SHOP, "deployment/orders")


async def change_once_one_ends(shop: Scene, names: list[str], image: str) -> None:
    async def look() -> bool:
        there = {one["metadata"]["name"]: one for one in await shop.pods(SHOP, "orders")}
        return any(name not in there or ends_or_has_ended(there[name]) for name in names)

    await until(look, "the first one that ends", timeout=300, interval=0.3)
    await change_to(shop, image)


async def change_to(shop: Scene, image: str) -> None:
    """Have every role run this image from now on."""
    for role in ROLES:
        await shop.kubectl("-n", PRODUCT, "set", "image", f"deployment/eureka-drain-{role}", f"*={image}")
