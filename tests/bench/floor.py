"""The floor: the least that anything could do. A bare watch, and one PUT to one node; no broker, no proof, no retry.

Trap: a bookmark is an event, too, and has no pod: the API server sends one a minute.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.subjects import instance_id
from tests.stack.kube_client import KubeClient
from tests.stack.registry_client import RegistryClient
from tests.stack.waiting import NeverHappenedError, until


@dataclass
class Floor:
    """Watches every pod and notes when each began to terminate; for its own app it also sends the PUT."""

    client: KubeClient
    node: RegistryClient
    app: str
    seen_at: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Watch for ever; times are `time.time()`. A PUT that fails is its end, as a watch that does."""
        listed = await self.client.call("GET", "/api/v1/namespaces/default/pods")
        version = listed["metadata"]["resourceVersion"]
        async with asyncio.TaskGroup() as puts:
            while True:
                async for event, pod in self.client.watch("pods", "default", version=version, seconds=600):
                    version = pod["metadata"]["resourceVersion"]
                    if event == "BOOKMARK" or "deletionTimestamp" not in pod["metadata"]:
                        continue
                    name = pod["metadata"]["name"]
                    if name not in self.seen_at:
                        self.seen_at[name] = time.time()
                        if name.startswith(f"{self.app}-"):
                            # The reader must not wait for the registry; nor does ours.
                            puts.create_task(self._put(name))

    async def when_seen(self, names: Sequence[str], *, timeout: float = 30) -> dict[str, float]:
        """Wait for the deletions of all; whose did not come in time is missing in the answer."""
        with contextlib.suppress(NeverHappenedError):
            await until(lambda: self.seen_at.keys() >= set(names), "every deletion", timeout=timeout)
        return {name: self.seen_at[name] for name in names if name in self.seen_at}

    async def _put(self, name: str) -> None:
        await self.node.put_status(self.app, instance_id(self.app, int(name.rpartition("-")[2])), "OUT_OF_SERVICE")
