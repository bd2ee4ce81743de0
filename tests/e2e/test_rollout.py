"""`kubectl rollout restart`, watched from outside at both nodes by the demo's sampler."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.demo.record import Record
from tests.demo.sampling import Sampler
from tests.demo.scene import App
from tests.demo.verdict import judge
from tests.e2e.product import APART, TOGETHER, product
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import ready_pods
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import deployment, pod_spec, python_service


@pytest.mark.parametrize("roles", [TOGETHER, APART], ids=["run", "watch and work apart"])
async def test_a_rollout_removes_each_old_instance_in_time_and_no_new_one(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, roles: Sequence[Sequence[str]]
) -> None:
    app = App(f"orders{len(roles)}", 3, silent=True)
    service = python_service(
        app.name, eureka_pair.urls, renewal_seconds=2, lifecycle={"preStop": {"sleep": {"seconds": 4}}}
    )
    await cluster.client.create("deployments", deployment(app.name, pod_spec(service), replicas=3))
    record = Record(tuple(node.name for node in eureka_pair.nodes))
    try:
        await ready_pods(cluster, "default", app.name, 3)
        await _served(eureka_pair, app)
        async with (
            product(tmp_path, cluster, broker, eureka_pair, "default", roles=roles),
            Sampler(cluster, eureka_pair, {app.name: app}, record, lambda *_: None).running(),
        ):
            await cluster.kubectl("rollout", "restart", f"deployment/{app.name}")
            await cluster.kubectl("rollout", "status", f"deployment/{app.name}")
            await until(
                lambda: not (verdict := judge(record, {app.name: 3}, lease_seconds=90)).problems or verdict.left == (),
                "every old instance gone from both nodes",
                timeout=90,
            )
        verdict = judge(record, {app.name: 3}, lease_seconds=90)
    finally:
        await cluster.client.delete("deployments", app.name)
    assert verdict.problems == ()
    assert (verdict.drained, verdict.in_time, verdict.deleted, verdict.disturbed) == (3, 3, 3, 0)


async def _served(eureka: EurekaNodes, app: App) -> None:
    """Wait until clients are served the instances: until then nobody calls them, and nobody can look them up."""

    async def look() -> bool:
        answers = [await node.registry.apps() for node in eureka.nodes]
        return all(len(apps.get(app.name.upper(), [])) == app.replicas for apps in answers)

    await until(look, f"{app.name} in both nodes' response caches", timeout=60, interval=0.5)
