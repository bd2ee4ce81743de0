"""How pods end in a real cluster, one way after the other: no dead one stays with callers, no living one is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.cluster.ending import Table, address_of, ending, is_of, living, node_of, signal_container
from tests.cluster.home import PRODUCT, SHOP
from tests.cluster.scene import Object, Scene, app_of, is_living
from tests.stack.processes import ProcessError
from tests.stack.waiting import until

Way = Callable[[Scene, Object], Awaitable[None]]


async def test_one_that_is_scaled_down_goes_out_alone(shop: Scene, table: Table) -> None:
    await shop.kubectl("-n", SHOP, "scale", "deployment/orders", "--replicas=3")
    await shop.rolled_out(SHOP, "deployment/orders")
    await shop.all_up(SHOP)
    # Kubernetes says which one goes first.
    youngest = max(await living(shop, "orders"), key=lambda one: one["metadata"]["creationTimestamp"])
    name = youngest["metadata"]["name"]
    await shop.kubectl("-n", SHOP, "annotate", "pod", name, "controller.kubernetes.io/pod-deletion-cost=-100")
    async with ending(shop, table, "scaled down", [youngest]):
        await shop.kubectl("-n", SHOP, "scale", "deployment/orders", "--replicas=2")


async def test_one_that_is_deleted_by_force_goes_out(shop: Scene, table: Table) -> None:
    [first, *_] = await living(shop, "orders")
    async with ending(shop, table, "deleted by force", [first]):
        await shop.kubectl("-n", SHOP, "delete", "pod", first["metadata"]["name"], "--grace-period=0", "--force")
    await shop.rolled_out(SHOP, "deployment/orders")


async def test_what_is_replaced_under_its_name_is_up_again(shop: Scene, table: Table) -> None:
    [before] = await living(shop, "ledger")
    async with ending(shop, table, "StatefulSet restarted", [before]):
        await shop.kubectl("-n", SHOP, "rollout", "restart", "statefulset/ledger")
        await shop.rolled_out(SHOP, "statefulset/ledger")
    await shop.all_up(SHOP)
    [after] = await living(shop, "ledger")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def kill(scene: Scene, pod: Object) -> None:
    """Kill the service's process from outside."""
    await signal_container(scene, pod, "SIGKILL")


async def fill_its_memory(scene: Scene, pod: Object) -> None:
    """Take all that its limit leaves, in small processes: the kernel kills the largest, which is the service's."""
    script = "for i in $(seq 40); do (head -c 20M /dev/zero | tail -c 20M | sleep 60) & done; wait"
    words = ("-n", SHOP, "exec", pod["metadata"]["name"], "--", "sh", "-c", script)
    with suppress(ProcessError):  # it ends with the container
        await scene.kubectl(*words)


@pytest.mark.parametrize(("way", "reason"), [(kill, "Error"), (fill_its_memory, "OOMKilled")])
async def test_what_crashes_and_starts_again_is_no_drain(shop: Scene, way: Way, reason: str) -> None:
    [first, *_] = await living(shop, "orders")
    name, own = first["metadata"]["name"], (await shop.known())[address_of(first)]
    [status] = first["status"]["containerStatuses"]
    await way(shop, first)

    async def restarted() -> Object | None:
        [now] = [one for one in await shop.pods(SHOP, "orders") if one["metadata"]["name"] == name]
        [again] = now["status"]["containerStatuses"]
        return again if again["restartCount"] > status["restartCount"] and is_living(now) else None

    again: Object = await until(restarted, f"{name} restarted", timeout=180, interval=1)
    assert again["lastState"]["terminated"]["reason"] == reason
    await shop.all_up(SHOP)
    assert await shop.statuses(app_of(own), own) == ("UP", "UP")
    assert [one for one in await shop.drains() if one["pod"] == name] == []


async def test_what_a_stopped_kubelet_cannot_end_is_out_all_the_same(shop: Scene, table: Table) -> None:
    # Not on the node by which `ops` is asked: exec needs its kubelet.
    [asked] = [one["spec"]["nodeName"] for one in await shop.pods(PRODUCT) if is_of(one, "ops") and is_living(one)]
    [first, *_] = [one for one in await living(shop, "orders") if one["spec"]["nodeName"] != asked]
    node = node_of(shop, first)
    name = first["metadata"]["name"]
    async with ending(shop, table, "deleted while its kubelet is stopped", [first]):
        await asyncio.to_thread(node.stop, "kubelet")
        try:
            await shop.kubectl("-n", SHOP, "delete", "pod", name, "--wait=false")
            await shop.drain_of(name, "out_of_service")
        finally:
            await asyncio.to_thread(node.start_program, "kubelet")
            await shop.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=100s")
        await shop.kubectl("-n", SHOP, "wait", "--for=delete", f"pod/{name}", "--timeout=150s", timeout=160)
    await shop.rolled_out(SHOP, "deployment/orders")


async def test_containerd_that_restarts_ends_nothing(shop: Scene) -> None:
    before = {one["metadata"]["uid"] for one in await living(shop)}
    ids = await shop.all_up(SHOP)
    async with shop.watching(ids) as watched:
        for node in shop.cluster.nodes:
            await asyncio.to_thread(node.restart_containerd)
        await asyncio.sleep(20)
    assert {one["metadata"]["uid"] for one in await living(shop)} == before
    assert {one: watched.ever_out(one) for one in ids} == {one: [] for one in ids}


async def test_an_api_server_that_restarts_hides_no_end(shop: Scene, table: Table) -> None:
    [first, *_] = await living(shop, "orders")
    hub = shop.cluster.hub
    async with ending(shop, table, "deleted as the API server restarts", [first]):
        await shop.kubectl("-n", SHOP, "delete", "pod", first["metadata"]["name"], "--wait=false")
        await asyncio.to_thread(hub.stop, "apiserver")
        await asyncio.to_thread(hub.start_server, "apiserver")
        await until(lambda: asyncio.to_thread(hub.is_ready), "the API server ready again", timeout=60)
    await shop.rolled_out(SHOP, "deployment/orders")
