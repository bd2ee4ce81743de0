"""The installation in the real cluster, once: servers in `infra`, the product by its page, services in `shop`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from tests.cluster import manifests
from tests.cluster.brokers import certify_brokers
from tests.cluster.ending import Table
from tests.cluster.home import INFRA, INSTALLATION, IS_INSTALLED, SHOP, TABLE
from tests.cluster.keys import ADMIN_KUBECONFIG
from tests.cluster.programs import programs
from tests.cluster.real_cluster import RealCluster
from tests.cluster.scene import Scene
from tests.install.desk import Desk
from tests.install.page import sections
from tests.stack.authority import Authority


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real() -> RealCluster:
    """The cluster that `make cluster` has brought up."""
    if not os.environ.get("REAL_CLUSTER"):
        pytest.skip("it needs the real cluster: make cluster")
    return RealCluster(await programs(print))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scene(real: RealCluster) -> AsyncIterator[Scene]:
    """Three brokers and two Eureka nodes, ready."""
    async with aclosing(Scene(real)) as made:
        await made.namespace(INFRA)
        await certify_brokers(made, Authority())
        servers = (manifests.rabbitmq(), manifests.eureka(), manifests.watchers())
        await asyncio.gather(*(made.apply(INFRA, text) for text in servers))
        await asyncio.gather(*(made.rolled_out(INFRA, f"statefulset/{name}") for name in ("rabbitmq", "eureka")))
        await made.find_nodes(INFRA)
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installed(scene: Scene) -> AsyncIterator[Desk]:
    """Sections 1 to 3 of docs/install.md as they stand; at the end its last one.

    A cluster that was kept is installed already, and its desk is where it was.
    """
    rabbitmqctl = f"kubectl exec --namespace {INFRA} rabbitmq-0 -- rabbitmqctl"
    is_new = not await asyncio.to_thread(IS_INSTALLED.exists)
    desk = Desk(INSTALLATION, kubeconfig=ADMIN_KUBECONFIG, rabbitmqctl=rabbitmqctl)
    if is_new:
        await follow(desk, "1.", "2.", "3.")
        await asyncio.to_thread(IS_INSTALLED.touch)
    yield desk
    if os.environ.get("KEEP") != "1":
        await follow(desk, "Taking it away")


async def follow(desk: Desk, *titles: str) -> str:
    """Run sections of the page, and return what they said."""
    return "".join(
        [await desk.run(block) for name, blocks in sections().items() if name.startswith(titles) for block in blocks]
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(scene: Scene, installed: Desk) -> Scene:
    """Services that are registered and known to callers."""
    await scene.namespace(SHOP)
    await asyncio.gather(*(scene.apply(SHOP, text) for text in manifests.services()))
    await asyncio.gather(scene.rolled_out(SHOP, "deployment/orders"), scene.rolled_out(SHOP, "statefulset/ledger"))
    await scene.all_up(SHOP)
    return scene


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def table() -> AsyncIterator[Table]:
    """What came of each way to end: `make cluster` shows it at the end."""
    made = Table()
    yield made
    await asyncio.to_thread(TABLE.write_text, f"{made}\n")
