"""What the demo's two Eureka nodes know of each other."""

from __future__ import annotations

import pytest

from controller.domain.diagnostics import Severity
from controller.eureka.region_checks import inspect
from tests.contract.regions import adapter, clock
from tests.stack.eureka_nodes import EurekaNode
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_registers_at_one_is_at_the_other(demo_nodes: list[EurekaNode]) -> None:
    for number, node in enumerate(demo_nodes):
        other, instance = demo_nodes[1 - number], f"orders-{number}"
        await node.registry.register("ORDERS", instance, ip=f"10.79.0.{number}")

        async def is_copied(other: EurekaNode = other, instance: str = instance) -> bool:
            return await other.registry.get("ORDERS", instance) is not None

        await until(is_copied, f"{instance} at {other.name}", timeout=60)


async def test_doctor_finds_that_none_counts_itself_among_its_peers(demo_nodes: list[EurekaNode]) -> None:
    async with adapter(*(node.url for node in demo_nodes)) as region:
        checks = [check for check in await inspect("eu", region, clock) if check.what.startswith("peers of")]
    assert len(checks) == len(demo_nodes)
    assert all(check.severity in (Severity.ok, Severity.advice) for check in checks), checks
