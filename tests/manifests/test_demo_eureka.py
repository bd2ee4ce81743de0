"""The demo's Eureka nodes, with the environment that the manifest gives them, as two real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from controller.domain.diagnostics import Severity
from controller.eureka.region_checks import inspect
from tests.contract.regions import adapter, clock
from tests.manifests.rendering import overlay, workloads
from tests.stack.addresses import free_port
from tests.stack.eureka_nodes import STOCK_IMAGE_SETTINGS, EurekaNode
from tests.stack.parts import eureka_node
from tests.stack.pod_handlers import environment
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ADDRESSES = ("127.0.0.1", "127.0.0.2")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(
    report_progress: ReportProgress, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[EurekaNode]]:
    folder = tmp_path_factory.mktemp("eureka")
    program = await eureka_node(report_progress)
    (stateful_set,) = [one for one in workloads(overlay("demo")) if one.name == "eureka"]
    port = str(free_port())
    (folder / "stock.properties").write_text(STOCK_IMAGE_SETTINGS.replace("8761", port))
    names = [f"eureka-{number}" for number in range(len(ADDRESSES))]
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {name}.eureka\n" for address, name in zip(ADDRESSES, names, strict=True)))
    made = []
    for address, name in zip(ADDRESSES, names, strict=True):
        command = [
            *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"),
            *(f"-Djdk.net.hosts.file={hosts}", *program),
            *(f"--spring.config.additional-location={folder}/stock.properties", f"--server.address={address}"),
        ]
        node = EurekaNode(name, f"http://{address}:{port}/eureka", command, folder / f"{name}.log")
        pod = {"metadata": {"name": name, "namespace": "eureka-drain", "uid": name}, "spec": {}}
        own = environment(pod, stateful_set.container, ip=address, host_ip="127.0.0.1")
        node.env |= {variable: value.replace("8761", port) for variable, value in own.items()}
        made.append(node)
    await asyncio.gather(*(node.start() for node in made))
    yield made
    await asyncio.gather(*(node.kill() for node in made), *(node.registry.close() for node in made))


async def test_what_registers_at_one_is_at_the_other(nodes: list[EurekaNode]) -> None:
    for number, node in enumerate(nodes):
        other, instance = nodes[1 - number], f"orders-{number}"
        await node.registry.register("ORDERS", instance, ip=f"10.79.0.{number}")

        async def is_copied(other: EurekaNode = other, instance: str = instance) -> bool:
            return await other.registry.get("ORDERS", instance) is not None

        await until(is_copied, f"{instance} at {other.name}", timeout=60)


async def test_doctor_finds_that_none_counts_itself_among_its_peers(nodes: list[EurekaNode]) -> None:
    async with adapter(*(node.url for node in nodes)) as region:
        checks = [check for check in await inspect("eu", region, clock) if check.what.startswith("peers of")]
    assert len(checks) == len(nodes)
    assert all(check.severity in (Severity.ok, Severity.advice) for check in checks), checks
