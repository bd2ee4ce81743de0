"""One product with its page, and one browser, for all tests of this folder."""

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.e2e.product import product
from tests.faults.population import Population
from tests.page.scene import OPERATOR, VIEWER, Scene
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.prerequisites import CHROMIUM, ReportProgress, require
from tests.stack.rabbitmq import RabbitMq

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
"""Nothing but our page, and no call to anybody else."""
expect.set_options(timeout=90_000)  # 5,000 say how fast the machine is
SETTINGS = {"ops.operator_token": OPERATOR, "ops.viewer_token": VIEWER, "remove": "false"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(report_progress: ReportProgress) -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    await require(CHROMIUM, report_progress=report_progress)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scene(
    tmp_path_factory: pytest.TempPathFactory,
    cluster: Cluster,
    broker: RabbitMq,
    eureka_pair: EurekaNodes,
    browser: Browser,
) -> AsyncIterator[Scene]:
    """The product, with three drains to look at: one that went well, one that was refused, one with markup in it."""
    namespace = f"page-{secrets.token_hex(3)}"
    await cluster.client.create("namespaces", {"metadata": {"name": namespace}}, None)
    folder = tmp_path_factory.mktemp("page")
    async with product(folder, cluster, broker, eureka_pair, namespace, settings=SETTINGS) as running:
        population = Population(cluster, eureka_pair, namespace, lease_seconds=3600)
        scene = Scene(
            url=running.processes[0].url,
            region=running.region,
            namespace=namespace,
            process=running.processes[0],
            log=running.log,
            cluster=cluster,
            eureka=eureka_pair,
            broker_url=broker.url,
            population=population,
            browser=browser,
        )
        try:
            await population.add("orders-alive", "orders")
            await scene.drained("orders-gone", "orders")
            await scene.hostile_pod("markup-annotated")
            await scene.log.wait_for("markup-annotated", "refused")
            await scene.hostile_instance("markup-registered")
            await scene.log.wait_for("markup-registered", "out_of_service")
            yield scene
        finally:
            await population.close()
            for one in await cluster.client.list("pods", namespace):
                await cluster.client.delete("pods", one["metadata"]["name"], namespace, grace_seconds=0)
