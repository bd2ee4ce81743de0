"""Everything that ends a pod, also without a grace period: each drained once, with its cause."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import Product, product
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import running_pod, shown_everywhere
from tests.stack.pod_process import PodProcess
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import container, job, pod_spec, python_service, stateful_set

# Named so that a pod is found past the response cache, without waiting for it.
BY_TEMPLATE = {"instance_id_templates": "{ip}:{app}:{port}"}


async def serving(cluster: Cluster, eureka: EurekaNodes, namespace: str, name: str, **spec: int | str) -> PodProcess:
    service = python_service(name, eureka.urls, renewal_seconds=1)
    annotations = {"eureka.drain/app": name, "eureka.drain/port": "8080"}
    found = await running_pod(cluster, namespace, name, pod_spec(service, **spec), annotations=annotations)  # type: ignore[arg-type]
    await shown_everywhere(eureka, name, f"{found.timeline.ip}:{name}:8080", "UP")
    return found


async def _is_drained(running: Product, eureka: EurekaNodes, pod: PodProcess, cause: str) -> None:
    name = pod.timeline.name
    event = await running.log.wait_for(name, "out_of_service")
    assert (event["cause"], event["uid"], event["app"]) == (cause, pod.timeline.uid, name.upper())
    assert [node["condition"] for node in event["nodes"]] == ["out", "out"]
    await running.log.wait_for(name, "removed")
    await shown_everywhere(eureka, name, f"{pod.timeline.ip}:{name}:8080", None)
    assert running.log.outcomes(name) == ["requested", "out_of_service", "removed"]
    assert len([e for e in running.log.about(name) if e["outcome"] == "requested"]) == 1, "drained more than once"


async def test_a_pod_deleted_with_grace_without_grace_and_by_eviction_is_drained(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE) as running:
        polite = await serving(cluster, eureka_pair, namespace, "polite")
        forced = await serving(cluster, eureka_pair, namespace, "forced")
        evicted = await serving(cluster, eureka_pair, namespace, "evicted")
        bystander = await serving(cluster, eureka_pair, namespace, "bystander")
        await cluster.client.delete("pods", "polite", namespace)
        await cluster.client.delete("pods", "forced", namespace, grace_seconds=0)
        await cluster.node.evict(evicted.timeline.uid)
        await _is_drained(running, eureka_pair, polite, "terminating")
        forced_as = (await running.log.wait_for("forced", "requested"))["cause"]
        assert forced_as in ("deleted", "terminating"), "a forced delete may show its grace of 0 first"
        await _is_drained(running, eureka_pair, forced, forced_as)
        await _is_drained(running, eureka_pair, evicted, "failed")
        assert running.log.about("bystander") == []
        assert await eureka_pair.statuses("bystander", f"{bystander.timeline.ip}:bystander:8080") == ["UP", "UP"]


async def test_a_node_that_shuts_down_takes_its_pods_out_while_they_run(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE) as running:
        goes = await serving(cluster, eureka_pair, namespace, "goes")
        stays = await serving(cluster, eureka_pair, namespace, "stays")
        await cluster.node.shut_down()
        try:
            for name in ("goes", "stays"):
                event = await running.log.wait_for(name, "out_of_service")
                assert (event["cause"], event["instance_id"]) == ("node_shutdown", f"{event['ip']}:{name}:8080")
            assert {goes.timeline.uid, stays.timeline.uid} <= {*cluster.node.pods}, "both still run"
            await cluster.node.evict(goes.timeline.uid)
            await running.log.wait_for("goes", "removed")
        finally:
            await cluster.node.come_back()
        await running.log.wait_for("stays", "restored")
        await shown_everywhere(eureka_pair, "stays", f"{stays.timeline.ip}:stays:8080", "UP")
        assert len({event["drain_id"] for event in running.log.about("goes")}) == 1
        assert [one["cause"] for one in running.log.about("goes") if one["outcome"] == "requested"] == [
            "node_shutdown",
            "failed",
        ]


async def test_a_completed_job_is_drained_and_a_pod_without_an_address_is_not(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings={"retention": "0s"}) as running:
        spec = pod_spec(container("sh", "-c", "exit 0"), restart_policy="Never")
        await cluster.client.create("jobs", job("once", spec), namespace)
        unbound = {"metadata": {"name": "unbound"}, "spec": pod_spec(container()) | {"nodeName": "nowhere"}}
        await cluster.client.create("pods", unbound, namespace)
        await cluster.client.delete("pods", "unbound", namespace, grace_seconds=0)

        async def pods_of_job() -> list[dict[str, Any]]:
            return await cluster.client.list("pods", namespace, labels="job-name=once")

        name = (await until(pods_of_job, "the Job's pod"))[0]["metadata"]["name"]
        requested = await running.log.wait_for(name, "requested")
        assert requested["cause"] == "succeeded"
        # Nothing of the Job is registered: that may be said only after the response cache's 30 s.
        concluded = await running.log.wait_for(name, "not_registered", timeout=60)
        assert concluded["drain_id"] == requested["drain_id"]
        assert running.log.about("unbound") == []


@pytest.mark.parametrize("moment", ["before the start", "while it was stopped"])
async def test_pods_that_terminate_while_nobody_watches_drain_at_the_start(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str, moment: str
) -> None:
    async with product(
        tmp_path, cluster, broker, eureka_pair, namespace, settings=BY_TEMPLATE, started=moment != "before the start"
    ) as running:
        name = "early" if moment == "before the start" else "late"
        pod = await serving(cluster, eureka_pair, namespace, name, grace_seconds=60)
        if moment != "before the start":
            await running.processes[0].stop()
        patch = {"metadata": {"finalizers": ["example.com/hold"]}}
        await cluster.client.patch("pods", name, patch, namespace)
        await cluster.client.delete("pods", name, namespace)
        await running.processes[0].start()
        try:
            await _is_drained(running, eureka_pair, pod, "terminating")
        finally:
            await cluster.client.patch("pods", name, {"metadata": {"finalizers": None}}, namespace)


async def test_a_stateful_pods_successor_under_the_same_id_serves_for_good(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    # The old process ends without a word, and its id, with our override on it, goes to the next pod-0.
    settings = {**BY_TEMPLATE, "retention": "60s"}
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=settings) as running:
        instance_id = f"{namespace}-0:stateful:8080"
        env = {"INSTANCE_ID": instance_id}
        service = python_service("stateful", eureka_pair.urls, renewal_seconds=1, env=env)
        template = pod_spec(service)
        body = stateful_set("stateful", template)
        body["spec"]["template"]["metadata"]["annotations"] = {"eureka.drain/instance-id": instance_id}
        await cluster.client.create("statefulsets", body, namespace)
        await shown_everywhere(eureka_pair, "stateful", instance_id, "UP")
        old = (await cluster.client.list("pods", namespace, labels="app=stateful"))[0]
        await cluster.client.delete("pods", "stateful-0", namespace)
        event = await running.log.wait_for("stateful-0", "out_of_service")
        assert event["uid"] == old["metadata"]["uid"]
        restored = await running.log.wait_for("stateful-0", "restored")
        assert restored["drain_id"] == event["drain_id"]
        await shown_everywhere(eureka_pair, "stateful", instance_id, "UP")
        seen: set[str | None] = set()
        for _ in range(40):
            seen.update(await eureka_pair.statuses("stateful", instance_id))
            await asyncio.sleep(0.25)
        assert seen == {"UP"}
        assert running.log.outcomes("stateful-0") == ["requested", "out_of_service", "restored"]
