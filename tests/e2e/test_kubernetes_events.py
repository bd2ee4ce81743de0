"""What `kubectl describe` shows of a drain: at the pod while it is there, at its owner once it is gone."""

from pathlib import Path
from typing import Any

from tests.e2e.product import APART, product
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import ready_pods, shown_everywhere
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import deployment, pod_spec, python_service

TWO_WATCHES = (*APART, ("watch",))


async def test_a_drain_has_one_event_at_pod_or_owner_whichever_watch_records_it(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    service = python_service(
        "told", eureka_pair.urls, renewal_seconds=1, lifecycle={"preStop": {"sleep": {"seconds": 15}}}
    )
    annotations = {"eureka.drain/app": "told", "eureka.drain/port": "8080"}
    body = deployment("told", pod_spec(service), replicas=2, annotations=annotations)
    await cluster.client.create("deployments", body, namespace)
    polite, forced = await ready_pods(cluster, namespace, "told", 2)
    for one in (polite, forced):
        await shown_everywhere(eureka_pair, "told", f"{one['status']['podIP']}:told:8080", "UP")
    by_template = {"instance_id_templates": "{ip}:{app}:{port}"}
    async with product(
        tmp_path, cluster, broker, eureka_pair, namespace, roles=TWO_WATCHES, settings=by_template
    ) as running:
        await cluster.client.delete("pods", _name(polite), namespace)
        await cluster.client.delete("pods", _name(forced), namespace, grace_seconds=0)

        async def both() -> list[dict[str, Any]] | None:
            found = [one for one in await cluster.client.list("events", namespace) if one["reason"] == "Drained"]
            return found if len(found) == 2 else None

        await until(both, "both notices", timeout=60)
        shown = await cluster.kubectl("-n", namespace, "describe", "pod", _name(polite))
        assert f"Out of service at every node of Eureka region {running.region}" in shown
        owner = polite["metadata"]["ownerReferences"][0]["name"]
        shown = await cluster.kubectl("-n", namespace, "describe", "replicaset", owner)
        assert f"Pod {_name(forced)}: Out of service at every node of Eureka region {running.region}" in shown
        assert await both(), "recorded once, by whichever watch"


def _name(one: dict[str, Any]) -> str:
    name: str = one["metadata"]["name"]
    return name
