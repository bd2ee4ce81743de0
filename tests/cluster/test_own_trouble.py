"""Pods end while the product itself, or its broker, is being restarted or killed."""

from __future__ import annotations

import asyncio
import json
import time

from tests.cluster.brokers import leader_of
from tests.cluster.ending import Table, all_begin_to_end, ending, living
from tests.cluster.home import INFRA, PRODUCT, SHOP
from tests.cluster.scene import Scene

COMMANDS = "drain.commands.eu"


async def test_a_rollout_that_meets_a_rollout_of_ours_misses_nobody(shop: Scene, table: Table) -> None:
    leaving = await living(shop, "orders")
    async with ending(shop, table, "rolled out while eureka-drain is rolled out", leaving) as watched:
        await shop.kubectl("-n", SHOP, "rollout", "restart", "deployment/orders")
        await shop.kubectl("-n", PRODUCT, "rollout", "restart", "deployment")
        watched.began = await all_begin_to_end(shop, *(one["metadata"]["name"] for one in leaving), timeout=300)
        await shop.product_rolled_out()
    await shop.rolled_out(SHOP, "deployment/orders")


async def test_the_broker_of_the_commands_queue_is_killed_as_a_pod_goes(shop: Scene, table: Table) -> None:
    [first, *_] = await living(shop, "orders")
    async with ending(shop, table, "deleted as the queue's broker is killed", [first]):
        leader = await leader_of(shop, COMMANDS)
        await shop.kubectl("-n", INFRA, "delete", "pod", leader, "--grace-period=0", "--force")
        await shop.kubectl("-n", SHOP, "delete", "pod", first["metadata"]["name"], "--wait=false")
    await shop.rolled_out(INFRA, "statefulset/rabbitmq")
    await shop.rolled_out(SHOP, "deployment/orders")


async def test_what_ends_while_most_brokers_are_gone_is_drained_afterwards(shop: Scene, table: Table) -> None:
    [first, *_] = await living(shop, "orders")
    name = first["metadata"]["name"]
    async with ending(shop, table, "deleted as two of three brokers are killed", [first]) as watched:
        await shop.kubectl("-n", INFRA, "delete", "pod", "rabbitmq-1", "rabbitmq-2", "--grace-period=0", "--force")
        await shop.kubectl("-n", SHOP, "delete", "pod", name, "--wait=false")
        await shop.rolled_out(INFRA, "statefulset/rabbitmq")
        watched.since = time.monotonic()
    await shop.rolled_out(SHOP, "deployment/orders")


async def test_what_ends_before_the_secrets_are_there_is_drained_when_they_come(shop: Scene, table: Table) -> None:
    secrets = await shop.kubectl("-n", PRODUCT, "get", "secrets", "-o", "json")
    assert json.loads(secrets)["items"]
    roles = [f"deployment/eureka-drain-{role}" for role in ("watch", "work")]
    await shop.kubectl("-n", PRODUCT, "scale", *roles, "--replicas=0")
    selector = "app.kubernetes.io/component in (watch, work)"
    await shop.kubectl("-n", PRODUCT, "wait", "--for=delete", "pod", "-l", selector, "--timeout=100s")
    await shop.kubectl("-n", PRODUCT, "delete", "secrets", "--all")
    await shop.kubectl("-n", PRODUCT, "scale", *roles, "--replicas=2")
    [first, *_] = await living(shop, "orders")
    async with ending(shop, table, "deleted before eureka-drain's Secrets were there", [first]) as watched:
        await shop.kubectl("-n", SHOP, "delete", "pod", first["metadata"]["name"], "--wait=false")
        await asyncio.sleep(10)
        await shop.apply(PRODUCT, without_versions(secrets))
        await shop.product_rolled_out()
        watched.since = time.monotonic()
    await shop.rolled_out(SHOP, "deployment/orders")


def without_versions(listed: str) -> str:
    """Return objects as they can be made anew."""
    objects = json.loads(listed)
    for one in objects["items"]:
        for what in ("resourceVersion", "uid", "creationTimestamp"):
            one["metadata"].pop(what, None)
    return json.dumps(objects)
