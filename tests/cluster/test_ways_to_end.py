"""How pods end in a real cluster, one way after the other: no dead one stays with callers, and no living one is lost.

What came of each is a line of a table; with CLUSTER_TABLE=file it is written there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster.conftest import SHOP
from tests.cluster.node import Node
from tests.cluster.scene import Object, Scene, app_of, is_living
from tests.stack.waiting import until

pytestmark = pytest.mark.timeout(900)
OUT_TIMEOUT = 10.0
"""Seconds from the first word of an end until no node gives the instance to callers, on a machine that is busy."""
OUT = ("out_of_service", "removed", "already_gone", "superseded", "restored")


@dataclass
class Table:
    """Lines of ways to end, with what was measured."""

    lines: list[str] = field(default_factory=list)

    def add(self, way: str, dead: int, slowest: float | None, living: int) -> None:
        out = "its id is its successor's" if slowest is None else f"{slowest:.1f} s"
        self.lines.append(f"| {way} | {dead} | {out} | {living} | 0 |")

    def __str__(self) -> str:
        head = "| how | pods that ended | all out after | pods that lived on | of them ever out |"
        return "\n".join([head, "|---|---|---|---|---|", *self.lines])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def table() -> AsyncIterator[Table]:
    made = Table()
    yield made
    print(f"\n{made}")
    if file := os.environ.get("CLUSTER_TABLE"):
        await asyncio.to_thread(Path(file).write_text, f"{made}\n")


async def living(scene: Scene, app: str = "") -> list[Object]:
    return [one for one in await scene.pods(SHOP, app) if is_living(one)]


@asynccontextmanager
async def ending(
    scene: Scene, table: Table, way: str, dying: list[Object], *, clear: bool = True
) -> AsyncIterator[None]:
    """Whoever leaves the context has let these pods end; all the others must not be touched.

    ``clear``: the id of what ended is nobody else's, so that it must be out in the end.
    """
    await scene.all_up(SHOP)
    names = {one["metadata"]["name"] for one in dying}
    known = await scene.known()
    others = [known[address_of(one)] for one in await living(scene) if one["metadata"]["name"] not in names]
    ids = [known[address_of(one)] for one in dying]
    async with scene.watching([*ids, *others]) as watched:
        yield
        for name in sorted(names):
            await scene.drain_of(name, *OUT)
        await asyncio.sleep(2)
    for one in others:
        assert watched.ever_out(one) == [], f"{way}: {one} lives and was not UP"
    slowest = None
    if clear:
        out_after = {one: watched.out_after(one) for one in ids}
        assert all(seconds is not None and seconds < OUT_TIMEOUT for seconds in out_after.values()), (way, out_after)
        slowest = max(seconds for seconds in out_after.values() if seconds is not None)
    table.add(way, len(ids), slowest, len(others))


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
    async with ending(shop, table, "StatefulSet restarted", [before], clear=False):
        await shop.kubectl("-n", SHOP, "rollout", "restart", "statefulset/ledger")
        await shop.rolled_out(SHOP, "statefulset/ledger")
    await shop.all_up(SHOP)
    [after] = await living(shop, "ledger")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_what_crashes_and_starts_again_is_no_drain(shop: Scene) -> None:
    [first, *_] = await living(shop, "orders")
    name, own = first["metadata"]["name"], (await shop.known())[address_of(first)]
    [status] = first["status"]["containerStatuses"]
    node = node_of(shop, first)
    container = status["containerID"].removeprefix("containerd://")
    await asyncio.to_thread(node.run, "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container)

    async def restarted() -> bool:
        [now] = [one for one in await shop.pods(SHOP, "orders") if one["metadata"]["name"] == name]
        [again] = now["status"]["containerStatuses"]
        return bool(again["restartCount"] > status["restartCount"] and is_living(now))

    await until(restarted, f"{name} restarted", timeout=180, interval=1)
    await shop.all_up(SHOP)
    assert await shop.statuses(app_of(own), own) == ("UP", "UP")
    assert [one for one in await shop.drains() if one["pod"] == name] == []


async def test_what_a_stopped_kubelet_cannot_end_is_out_all_the_same(shop: Scene, table: Table) -> None:
    # Not on the node by which `ops` is asked: exec needs its kubelet.
    [asked] = [
        one["spec"]["nodeName"] for one in await shop.pods("eureka-drain") if is_of(one, "ops") and is_living(one)
    ]
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


async def test_a_node_that_is_drained_loses_its_pods_and_nobody_else(shop: Scene, table: Table) -> None:
    node = node_of(shop, (await living(shop, "orders"))[0])
    leaving = [one for one in await living(shop) if one["spec"]["nodeName"] == node.name]
    async with ending(shop, table, "node drained, with brokers and the product's own pods", leaving, clear=False):
        try:
            words = ("drain", node.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=400s")
            await shop.kubectl(*words, timeout=420)
        finally:
            await shop.kubectl("uncordon", node.name)
        await shop.rolled_out("infra", "statefulset/eureka")
        await shop.find_nodes("infra")
    for namespace, what in (
        ("infra", "statefulset/rabbitmq"),
        ("infra", "statefulset/eureka"),
        (SHOP, "deployment/orders"),
    ):
        await shop.rolled_out(namespace, what)


def is_of(pod: Object, role: str) -> bool:
    return bool(pod["metadata"]["labels"].get("app.kubernetes.io/component") == role)


def address_of(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def node_of(scene: Scene, pod: Object) -> Node:
    [found] = [one for one in scene.cluster.nodes if one.name == pod["spec"]["nodeName"]]
    return found
