"""What the tests see of the real cluster: pods by kubectl, registrations by each Eureka node, the product's own log."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.home import PRODUCT
from tests.cluster.real_cluster import RealCluster
from tests.stack.processes import ProcessError
from tests.stack.registry_client import UNREACHABLE, RegistryClient
from tests.stack.waiting import until

Object = dict[str, Any]
EUREKA_POD = re.compile(r"eureka-\d+")
"""Not our own, which begin likewise."""
ROLES = ("topology", "watch", "work", "ops")
"""The product's that run all the time."""
SILENT = "no answer"
ANSWER_TIMEOUT = 2.0
"""Seconds for a node: one that is cut off must not hold up the look at the others."""
READY_TIMEOUT = 300
"""Seconds: the whole cluster has two processors."""


@dataclass(frozen=True)
class Sample:
    """What the nodes show of one registration at one moment; None: they do not know it."""

    at: float
    """By time.monotonic()."""
    statuses: tuple[str | None, ...]

    @property
    def is_out(self) -> bool:
        """Whether no node gives it to callers."""
        return all(status in (None, SILENT, "OUT_OF_SERVICE", "DOWN") for status in self.statuses)


@dataclass
class Watched:
    """Samples of registrations, by their ids. All times by time.monotonic()."""

    since: float
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    """By pod: when Kubernetes was first seen to say that it ends, where that is not the beginning of it all."""

    def out_after(self, instance_id: str, pod: str) -> float | None:
        """Return the seconds from when the pod began to end until no node gave it to callers; None: some still does."""
        left = None
        for sample in self.samples[instance_id]:
            if not sample.is_out:
                left = None
            elif left is None:
                left = sample.at - self.began.get(pod, self.since)
        return left

    def ever_out(self, instance_id: str) -> list[Sample]:
        """Return the moments at which a node kept it from callers; one that has just begun does not know it yet."""
        return [one for one in self.samples[instance_id] if not {"UP", SILENT, None}.issuperset(one.statuses)]


class Scene:
    """The whole of it."""

    def __init__(self, cluster: RealCluster) -> None:
        self.cluster = cluster
        self.nodes: list[RegistryClient] = []
        self._all_nodes: list[RegistryClient] = []
        """Those of the past, too: somebody may still be asking them."""

    async def aclose(self) -> None:
        """Close connections."""
        await asyncio.gather(*(node.close() for node in self._all_nodes))

    async def kubectl(self, *words: str, text: str | None = None, timeout: float = 120) -> str:
        """Run kubectl as the cluster's owner."""
        return await asyncio.to_thread(self.cluster.kubectl, *words, text=text, timeout=timeout)

    async def apply(self, namespace: str, text: str) -> None:
        """Apply manifests."""
        await self.kubectl("apply", "-n", namespace, "-f", "-", text=text)

    async def namespace(self, name: str) -> None:
        """Make a namespace, unless it is there."""
        await self.apply("default", json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))

    async def put_secret(self, namespace: str, name: str, data: Mapping[str, bytes]) -> None:
        """Make a Secret, or change it."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        await self.apply(namespace, json.dumps(made))

    async def rolled_out(self, namespace: str, what: str) -> None:
        """Wait until a workload is."""
        words = ("-n", namespace, "rollout", "status", what, f"--timeout={READY_TIMEOUT}s")
        await self.kubectl(*words, timeout=READY_TIMEOUT + 10)

    async def product_rolled_out(self, *roles: str) -> None:
        """Wait until these roles of the product are; none: all that the page installs."""
        for role in roles or ROLES:
            await self.rolled_out(PRODUCT, f"deployment/eureka-drain-{role}")

    async def pods(self, namespace: str, app: str = "") -> list[Object]:
        """Return the pods of an app, those that terminate included."""
        words = ("-n", namespace, "get", "pods", "-o", "json", *([f"--selector=app={app}"] if app else []))
        found: list[Object] = json.loads(await self.kubectl(*words))["items"]
        return found

    async def find_nodes(self, namespace: str) -> None:
        """Learn the addresses of the Eureka nodes, which change with their pods."""
        found = await self.pods(namespace)
        addresses = [one["status"]["podIP"] for one in found if EUREKA_POD.fullmatch(one["metadata"]["name"])]
        self.nodes = [RegistryClient(f"http://{address}:8761/eureka") for address in addresses]
        self._all_nodes += self.nodes

    async def statuses(self, app: str, instance_id: str) -> tuple[str | None, ...]:
        """Return what each node shows."""

        async def ask(node: RegistryClient) -> str | None:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    found = await node.get(app, instance_id)
            except UNREACHABLE:
                return SILENT
            return None if found is None else str(found["status"])

        return tuple(await asyncio.gather(*(ask(node) for node in self.nodes)))

    async def known(self) -> dict[str, str]:
        """Return the ids of what callers know, by address."""
        apps = await self.nodes[0].apps()
        return {str(one["ipAddr"]): str(one["instanceId"]) for found in apps.values() for one in found}

    async def all_up(self, namespace: str) -> list[str]:
        """Wait until every pod that lives is UP at every node; return the ids of their registrations."""

        async def look() -> list[str] | None:
            pods = [one for one in await self.pods(namespace) if is_living(one)]
            known = await self.known()
            ids = [known.get(one["status"]["podIP"], "") for one in pods]
            if not ids or not all(ids):
                return None
            shown = await asyncio.gather(*(self.statuses(app_of(one), one) for one in ids))
            return ids if all(set(one) == {"UP"} for one in shown) else None

        found: list[str] = await until(look, f"the pods of {namespace} UP", timeout=READY_TIMEOUT, interval=1)
        return found

    @asynccontextmanager
    async def watching(self, instance_ids: Sequence[str]) -> AsyncIterator[Watched]:
        """Look at registrations all the time."""
        watched = Watched(time.monotonic(), {one: [] for one in instance_ids})

        async def look(one: str) -> None:
            statuses = await self.statuses(app_of(one), one)
            watched.samples[one].append(Sample(time.monotonic(), statuses))

        async def look_for_ever() -> None:
            while True:
                await asyncio.gather(*map(look, instance_ids))
                await asyncio.sleep(0.25)

        looking = asyncio.create_task(look_for_ever())
        try:
            yield watched
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def drains(self, since: str = "15m") -> list[Object]:
        """Return what `eureka-drain drains` says, from inside."""
        words = ("-n", PRODUCT, "exec", "deployment/eureka-drain-ops", "--", "eureka-drain", "drains")
        lines = await self.kubectl(*words, "--since", since, "-o", "json")
        return [json.loads(line) for line in lines.splitlines()]

    async def drain_of(self, pod: str, *states: str, timeout: float = 180) -> Object:
        """Wait for a pod's drain in one of these states."""

        async def look() -> Object | None:
            try:
                found = [one for one in await self.drains() if one["pod"] == pod and one["state"] in states]
            except ProcessError:
                return None
            return found[0] if found else None

        made: Object = await until(look, f"a drain of {pod} in {states}", timeout=timeout, interval=2)
        return made


def is_living(pod: Object) -> bool:
    """Whether it is ready and not going away."""
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or []}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def app_of(instance_id: str) -> str:
    """Return the app in an id as Spring Cloud makes it."""
    return instance_id.split(":")[1]
