"""Ways to end: what happens to a pod, its node and its process, in the order in which real ones see it."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Protocol

from tests.stack.cluster import Cluster
from tests.stack.eureka_client import Client
from tests.stack.node import Node
from tests.stack.pod_process import PodProcess
from tests.stack.waiting import until

RESTART_SECONDS = 2
"""From one process to the next: a container's backoff, and a start."""


class Ending(StrEnum):
    """What a pod ends by."""

    delete = "deleted with grace"
    force = "deleted by force"
    evict = "evicted"
    evict_bare = "evicted, without an address"
    rollout = "rolled out"
    crash = "container crash"
    node_lost = "node lost"
    node_shutdown = "node shutdown"


class Mortal(Protocol):
    """What an ending is done to."""

    pod: PodProcess
    client: Client

    @property
    def namespace(self) -> str:
        """Its pod's."""
        ...

    @property
    def same_id(self) -> bool:
        """Whether its successor can only come after it."""
        ...

    async def succeed(self) -> None:
        """A new pod comes, and its process registers."""
        ...

    async def start_again(self) -> None:
        """The same pod's next process registers."""
        ...

    async def wait_until_out(self) -> None:
        """Until it is out at every node."""
        ...


async def end(one: Mortal, ending: Ending, cluster: Cluster, node: Node) -> None:
    """Until its process is over, or is to go on."""
    match ending:
        case Ending.delete:
            await _delete(one, cluster)
        case Ending.force:
            await _delete(one, cluster, grace_seconds=0)
        case Ending.evict | Ending.evict_bare:
            await node.evict(one.pod.uid, bare=ending is Ending.evict_bare)
            await one.client.end()
        case Ending.rollout if one.same_id:
            await _delete(one, cluster)
            await until(lambda: one.pod.timeline.deleted_at, f"{one.pod.name} gone")
            await one.succeed()
        case Ending.rollout:
            await one.succeed()
            await _delete(one, cluster)
        case Ending.crash:
            await one.pod.containers[0].program.kill()
            await one.client.end()
            await asyncio.sleep(RESTART_SECONDS)
            await one.start_again()
        case Ending.node_lost:
            # As the taint manager has it: first the condition, then the deletion, and nobody at the node hears of it.
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
            status = {"conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}
            await cluster.client.patch_status("pods", one.pod.name, status, one.namespace)
            await cluster.client.delete("pods", one.pod.name, one.namespace)
        case Ending.node_shutdown:
            await one.wait_until_out()
            await node.evict(one.pod.uid)
            await one.client.end()


async def _delete(one: Mortal, cluster: Cluster, grace_seconds: int | None = None) -> None:
    await cluster.client.delete("pods", one.pod.name, one.namespace, grace_seconds=grace_seconds)
    await until(lambda: one.pod.timeline.exited_at, f"{one.pod.name} ended")
    await one.client.end()
