"""The stack proved on the real servers: services in pods, in the registry, through a real rollout."""

import pytest

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import end_of, ready_pods, running_pod, shown_everywhere
from tests.stack.parts import sample_service
from tests.stack.workloads import deployment, java_service, pod_spec, python_service

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_deployment_becomes_ready_registers_at_both_nodes_and_rolls(
    cluster: Cluster, eureka_pair: EurekaNodes, namespace: str
) -> None:
    spec = pod_spec(python_service("shop", eureka_pair.urls, env={"DEREGISTER": "true"}))
    await cluster.client.create("deployments", deployment("shop", spec), namespace)
    old = await ready_pods(cluster, namespace, "shop", 3)
    for one in old:
        await shown_everywhere(eureka_pair, "shop", f"{one['status']['podIP']}:shop:8080", "UP")
    assert len({one["status"]["podIP"] for one in old}) == 3

    await cluster.kubectl("-n", namespace, "rollout", "restart", "deployment/shop")
    printed = await cluster.kubectl("-n", namespace, "rollout", "status", "deployment/shop", "--timeout=90s")
    assert "successfully rolled out" in printed

    new = await ready_pods(cluster, namespace, "shop", 3)
    assert not {one["metadata"]["uid"] for one in old} & {one["metadata"]["uid"] for one in new}
    for one in new:
        await shown_everywhere(eureka_pair, "shop", f"{one['status']['podIP']}:shop:8080", "UP")
    for one in old:
        timeline = await end_of(cluster.node.timelines[one["metadata"]["uid"]])
        assert timeline.sigkill_at is None
        await shown_everywhere(eureka_pair, "shop", f"{one['status']['podIP']}:shop:8080", None)


async def test_a_service_that_does_not_deregister_outlives_its_pod_in_eureka(
    cluster: Cluster, eureka_pair: EurekaNodes, namespace: str
) -> None:
    one = await running_pod(cluster, namespace, "stays", pod_spec(python_service("stays", eureka_pair.urls)))
    instance = f"{one.ip}:stays:8080"
    await shown_everywhere(eureka_pair, "stays", instance, "UP")
    await cluster.client.delete("pods", "stays", namespace)
    await end_of(one.timeline)
    assert await eureka_pair.statuses("stays", instance) == ["UP", "UP"]


async def test_the_java_service_registers_as_a_pod(cluster: Cluster, eureka_pair: EurekaNodes, namespace: str) -> None:
    program = await sample_service(lambda _: None)
    spec = pod_spec(java_service("orders", eureka_pair.urls, program))
    one = await running_pod(cluster, namespace, "orders", spec)
    await shown_everywhere(eureka_pair, "orders", f"{one.ip}:orders:8080", "UP")
    await cluster.client.delete("pods", "orders", namespace)
    timeline = await end_of(one.timeline)
    assert timeline.sigkill_at is None
