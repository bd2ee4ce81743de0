"""A cluster in which pods really run: the control plane, one node stand-in, kubectl and an admin client."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.stack.images import Host
from tests.stack.kubernetes_api import KubernetesApi
from tests.stack.node import Node
from tests.stack.processes import output_of


class Cluster:
    """`api` has the servers, `node` the pods' processes and timelines, `client` calls as admin."""

    def __init__(
        self,
        folder: Path,
        binaries: Path,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        apiserver_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
    ) -> None:
        self.api = KubernetesApi(
            folder,
            binaries,
            users=users,
            apiserver_flags=apiserver_flags,
            controller_manager_flags=controller_manager_flags,
        )
        self.client = self.api.client()
        self.node = Node(self.client, folder / "pods", host=Host(self.api.url, self.api.certificate))

    @property
    def kubeconfig(self) -> Path:
        """The admin's."""
        return self.api.admin_kubeconfig

    async def start(self) -> None:
        """The servers, then the node."""
        await self.api.start()
        await self.client.__aenter__()
        await self.node.start()

    async def close(self) -> None:
        """End for good, pods first."""
        await self.node.stop()
        await self.client.close()
        await self.api.close()

    async def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        """What kubectl printed, as admin."""
        env = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        return await output_of("kubectl", *arguments, env=env, timeout=timeout)


@asynccontextmanager
async def fresh_namespace(cluster: Cluster) -> AsyncIterator[str]:
    """Made, and removed with what is left in it, by force."""
    name = f"test-{secrets.token_hex(4)}"
    await cluster.client.create("namespaces", {"metadata": {"name": name}}, None)
    yield name
    for kind in ("deployments", "statefulsets", "daemonsets", "jobs", "replicasets"):
        for owner in await cluster.client.list(kind, name):
            await cluster.client.delete(kind, owner["metadata"]["name"], name)
    for pod in await cluster.client.list("pods", name):
        await cluster.client.delete("pods", pod["metadata"]["name"], name, grace_seconds=0)
    await cluster.client.delete("namespaces", name, None)
