"""What tests wait for in the cluster and in the registry, by the names that they would use for it."""

from datetime import datetime
from typing import Any

from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.pod_process import PodProcess
from tests.stack.timeline import Timeline
from tests.stack.waiting import until
from tests.stack.workloads import pod

Object = dict[str, Any]


async def ready_pods(cluster: Cluster, namespace: str, app: str, count: int, *, timeout: float = 90) -> list[Object]:
    """Exactly `count` pods of the app, all ready, none of them going away."""

    async def look() -> tuple[list[Object]] | None:
        pods = await cluster.client.list("pods", namespace, labels=f"app={app}")
        # In a tuple, since no pods at all may be what is waited for.
        return (pods,) if len(pods) == count and all(is_ready(one) for one in pods) else None

    found: list[Object]
    (found,) = await until(look, f"{count} ready pods of {app}", timeout=timeout)
    return found


def is_ready(one: Object) -> bool:
    """Ready and not going away."""
    conditions = one["status"].get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and "deletionTimestamp" not in one["metadata"]


async def running_pod(
    cluster: Cluster, namespace: str, name: str, spec: Object, *, annotations: dict[str, str] | None = None
) -> PodProcess:
    """Create a pod, wait until it is ready, and return its processes."""
    created = await cluster.client.create("pods", pod(name, spec, annotations=annotations), namespace)
    await ready_pods(cluster, namespace, name, 1)
    return cluster.node.pods[created["metadata"]["uid"]]


async def end_of(timeline: Timeline, *, timeout: float = 60) -> Timeline:
    """Wait until the pod's object is gone."""
    await until(lambda: timeline.deleted_at, f"{timeline.name} deleted", timeout=timeout)
    return timeline


async def shown_everywhere(
    eureka: EurekaNodes, app: str, instance_id: str, status: str | None, *, timeout: float = 60
) -> None:
    """Wait until every node shows this status, or, for None, does not know the instance."""

    async def look() -> bool:
        return set(await eureka.statuses(app, instance_id)) == {status}

    await until(look, f"{instance_id} {status or 'absent'} at all nodes", timeout=timeout)


def between(begin: datetime | None, end: datetime | None) -> float:
    """Seconds between two moments that both came."""
    assert begin is not None
    assert end is not None
    return (end - begin).total_seconds()
