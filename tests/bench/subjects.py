"""Pods that exist in the API server only, and instances that exist in the registry only: cheap by the thousand.

The pods are bound to a node that nobody plays kubelet for, so a deleted pod stays terminating until it is removed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.stack.kube_client import KubeClient
from tests.stack.registry_client import RegistryClient
from tests.stack.waiting import until

NODE = "bench-node"
AT_ONCE = 32


def address(number: int) -> str:
    """A loopback address of the subject's own."""
    return f"127.77.{number // 250}.{number % 250 + 1}"


def instance_id(app: str, number: int) -> str:
    """As Spring Cloud composes it."""
    return f"{address(number)}:{app}:8080"


async def at_once(work: Sequence[Any]) -> list[Any]:
    """Await all of them, a bounded number at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(job: Any) -> Any:
        async with slots:
            return await job

    return await asyncio.gather(*(one(job) for job in work))


async def create_node(client: KubeClient) -> None:
    """The node that the pods are bound to."""
    await client.create("nodes", {"metadata": {"name": NODE}}, None)


async def create_pod(client: KubeClient, name: str, ip: str, *, ours: bool) -> None:
    """A running pod; not ours: annotated so that the controller leaves it alone."""
    annotations = {} if ours else {"eureka.drain/enabled": "false"}
    spec = {"nodeName": NODE, "containers": [{"name": "main", "image": "none"}]}
    await client.create("pods", {"metadata": {"name": name, "annotations": annotations}, "spec": spec})
    await client.patch_status("pods", name, {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]})


async def register(nodes: Sequence[RegistryClient], app: str, numbers: Sequence[int]) -> None:
    """Register at the first node, and wait until every node's response cache shows all of them."""
    await at_once([nodes[0].register(app, instance_id(app, n), ip=address(n), lease_seconds=900) for n in numbers])

    async def shown() -> bool:
        everything = [await node.apps() for node in nodes]
        return all(len(apps.get(app.upper(), ())) >= len(numbers) for apps in everything)

    await until(shown, f"{len(numbers)} instances of {app} in every node's response cache", timeout=180, interval=2)


async def out_at(node: RegistryClient, app: str, number: int) -> float:
    """When this node began to show OUT_OF_SERVICE, by its own record; 0 while it does not."""
    found = await node.get(app, instance_id(app, number))
    if found is None or not found["status"] == found["overriddenStatus"] == "OUT_OF_SERVICE":
        return 0.0
    return int(found["lastUpdatedTimestamp"]) / 1000
