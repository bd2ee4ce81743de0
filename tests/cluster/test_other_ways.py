"""Ends that nobody asks for by `kubectl delete`: eviction, preemption, a job that is done; and a pod with a sidecar."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.cluster.ending import Table, all_begin_to_end, ending, living
from tests.cluster.home import SHOP
from tests.cluster.images import SERVICE_IMAGE
from tests.cluster.scene import Object, Scene

_HERE = Path(__file__).parent
SEATS = "/status/capacity/cluster.test~1seats"
"""Something of which a node has one, so that the scheduler must choose."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def others(shop: Scene) -> AsyncIterator[Scene]:
    """Services for other ends, registered and known to callers."""
    first = shop.cluster.nodes[0].name
    seat = json.dumps([{"op": "add", "path": SEATS, "value": "1"}])
    await shop.kubectl("patch", "node", first, "--subresource=status", "--type=json", "-p", seat)
    text = (_HERE / "shop" / "others.yaml").read_text().replace("SERVICE_IMAGE", SERVICE_IMAGE)
    await shop.apply(SHOP, text)
    for name in ("billing", "gateway"):
        await shop.rolled_out(SHOP, f"deployment/{name}")
    await shop.all_up(SHOP)
    yield shop
    await shop.kubectl("delete", "-n", SHOP, "-f", "-", text=text)


async def the_one(scene: Scene, app: str) -> Object:
    [found] = await living(scene, app)
    return found


async def test_one_that_has_written_too_much_is_evicted_and_out(others: Scene, table: Table) -> None:
    pod = await the_one(others, "billing")
    name = pod["metadata"]["name"]
    async with ending(others, table, "evicted by its kubelet", [pod]) as watched:
        words = ("exec", name, "--", "dd", "if=/dev/zero", "of=/scratch/full", "bs=1M", "count=16")
        await others.kubectl("-n", SHOP, *words)
        # What a volume holds is counted once a minute.
        watched.began = await all_begin_to_end(others, name, timeout=300)
    await others.rolled_out(SHOP, "deployment/billing")


async def test_one_that_is_preempted_is_out(others: Scene, table: Table) -> None:
    pod = await the_one(others, "billing")
    name = pod["metadata"]["name"]
    seat = {"limits": {"cluster.test/seats": "1"}}
    container = {"name": "c", "image": SERVICE_IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "86400"]}
    spec = {"priorityClassName": "urgent", "containers": [{**container, "resources": seat}]}
    urgent = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "urgent"}, "spec": spec}
    async with ending(others, table, "preempted", [pod]) as watched:
        await others.apply("default", json.dumps(urgent))
        watched.began = await all_begin_to_end(others, name)
    await others.kubectl("delete", "pod", "urgent", "--grace-period=0", "--force")
    await others.rolled_out(SHOP, "deployment/billing")


async def test_one_with_a_native_sidecar_is_out_before_either_ends(others: Scene, table: Table) -> None:
    pod = await the_one(others, "gateway")
    async with ending(others, table, "deleted, with a native sidecar", [pod]):
        await others.kubectl("-n", SHOP, "delete", "pod", pod["metadata"]["name"], "--wait=false")
    await others.rolled_out(SHOP, "deployment/gateway")


async def test_a_job_that_is_done_is_out(others: Scene, table: Table) -> None:
    pod = await the_one(others, "report")
    name = pod["metadata"]["name"]
    async with ending(others, table, "a job's pod that is done", [pod]) as watched:
        await others.kubectl("-n", SHOP, "exec", name, "--", "touch", "/tmp/done")
        watched.began = await all_begin_to_end(others, name)
