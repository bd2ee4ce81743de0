"""Fills the record from outside: a watch of the pods and a reading of every instance at every node, again and again.

It shares nothing with the controller: the pods come from a watch of its own, the statuses from GETs of its own,
straight from each node's registry. A pod's deletion is the moment this watch first shows `deletionTimestamp` (the
timestamp itself is in whole seconds, and lies in the future by the grace period).

Order of events: a pod gets an IP, then its instance is read at both nodes until the end, also after it is gone: it
may come back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.demo.record import Instance, Record
from tests.demo.scene import App
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNode, EurekaNodes
from tests.stack.kube_client import KubeError
from tests.stack.registry_client import RegistryError
from tests.stack.timeline import now

SAMPLE_SECONDS = 0.2
WATCH_SECONDS = 60

Told = Callable[[Instance, str], None]
"""Called with an instance and the node that shows something new about it."""


class Sampler:
    """Tells `changed` of every change it notes."""

    def __init__(
        self, cluster: Cluster, eureka: EurekaNodes, apps: Mapping[str, App], record: Record, changed: Told
    ) -> None:
        self._cluster, self._eureka, self._apps = cluster, eureka, apps
        self._record, self._changed = record, changed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the pods that are there now, which are the old ones, until the context ends."""
        listed = await self._cluster.client.call("GET", "/api/v1/namespaces/default/pods")
        for pod in listed["items"]:
            self._see(pod, old=True)
        work = [self._follow_pods(listed["metadata"]["resourceVersion"])]
        work += [self._read(node) for node in self._eureka.nodes]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
            yield
            for task in tasks:
                task.cancel()

    async def _follow_pods(self, version: str) -> None:
        while True:
            try:
                async for event, pod in self._cluster.client.watch(
                    "pods", "default", version=version, seconds=WATCH_SECONDS
                ):
                    version = pod["metadata"]["resourceVersion"]
                    if event != "BOOKMARK":
                        self._see(pod, old=False)
            except (KubeError, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(SAMPLE_SECONDS)

    def _see(self, pod: dict[str, Any], *, old: bool) -> None:
        metadata, ip = pod["metadata"], pod["status"].get("podIP")
        app = self._apps.get((metadata.get("labels") or {}).get("app", ""))
        if app is None or not ip:
            return
        uid = metadata["uid"]
        if uid not in self._record.instances:
            self._record.instances[uid] = Instance(
                app=app.name, id=app.instance_id(ip), pod=metadata["name"], uid=uid, old=old, silent=app.silent
            )
        instance = self._record.instances[uid]
        if metadata.get("deletionTimestamp") and instance.deleted_at is None:
            instance.deleted_at = now()

    async def _read(self, node: EurekaNode) -> None:
        """One node, all instances at once, in rounds."""
        loop = asyncio.get_running_loop()
        before: float | None = None
        while True:
            begun = loop.time()
            await asyncio.gather(*(self._read_one(node, one) for one in list(self._record.instances.values())))
            if before is not None:
                self._record.longest_pause = max(self._record.longest_pause, loop.time() - before)
            before = loop.time()
            await asyncio.sleep(max(0.0, begun + SAMPLE_SECONDS - loop.time()))

    async def _read_one(self, node: EurekaNode, instance: Instance) -> None:
        timeline = self._cluster.node.timelines.get(instance.uid)
        if timeline is not None:
            instance.sigterm_at, instance.exited_at = timeline.sigterm_at, timeline.exited_at
        try:
            found = await node.registry.get(instance.app, instance.id)
        except (RegistryError, aiohttp.ClientError, TimeoutError):
            self._record.unanswered += 1
            return
        if instance.apply(node.name, found["status"] if found else None, now()):
            self._changed(instance, node.name)
