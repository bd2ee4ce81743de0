"""The floor: the least that anything could do. A bare watch, and one PUT to one node; no broker, no proof, no retry."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.bench.subjects import instance_id
from tests.stack.kube_client import KubeClient
from tests.stack.registry_client import RegistryClient


@dataclass
class Floor:
    """Watches every pod and notes when each began to terminate; for its own app it also sends the PUT."""

    client: KubeClient
    node: RegistryClient
    app: str
    seen_at: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Watch for ever; times are `time.time()`."""
        listed = await self.client.call("GET", "/api/v1/namespaces/default/pods")
        version = listed["metadata"]["resourceVersion"]
        while True:
            async for _, pod in self.client.watch("pods", "default", version=version, seconds=600):
                version = pod["metadata"]["resourceVersion"]
                name = pod["metadata"]["name"]
                if "deletionTimestamp" in pod["metadata"] and name not in self.seen_at:
                    self.seen_at[name] = time.time()
                    if name.startswith(f"{self.app}-"):
                        # The reader must not wait for the registry; nor does ours.
                        asyncio.get_running_loop().create_task(self._put(name))

    async def _put(self, name: str) -> None:
        await self.node.put_status(self.app, instance_id(self.app, int(name.rpartition("-")[2])), "OUT_OF_SERVICE")
