"""Sees from outside what becomes of the old instances: a watch of the pods, and readings at every node.

It shares nothing with the controller. An instance is read straight from each node's registry, from its pod's deletion
until it is absent everywhere and the pod is gone: every 0.25 s while a node says UP, every 2 s afterwards. Only these
are read: the readings share two cores with all that they look at.

Order of events: a watch over all namespaces keeps what pods there are; the first sight of a `deletionTimestamp` starts
the readings of that pod's instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.headline.record import UP, Leaving
from tests.headline.variants import Variant
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.kube_client import KubeError
from tests.stack.observing import is_ready
from tests.stack.registry_client import RegistryError
from tests.stack.timeline import now

FAST_SECONDS, SLOW_SECONDS = 0.25, 2.0
WATCH_SECONDS = 60
AGAIN_SECONDS = 0.2


class Observer:
    """`leaving` has every instance whose pod was deleted, by the pod's uid."""

    def __init__(self, cluster: Cluster, regions: Mapping[str, EurekaNodes], variants: Mapping[str, Variant]) -> None:
        self.leaving: dict[str, Leaving] = {}
        self.unanswered = 0
        """Readings that failed."""
        self._cluster, self._regions, self._variants = cluster, regions, variants
        self._pods: dict[str, dict[str, Any]] = {}
        self._readings: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the pods that are there now until the context ends."""
        listed = await self._cluster.client.call("GET", "/api/v1/pods")
        for pod in listed["items"]:
            self._see("ADDED", pod)
        following = asyncio.create_task(self._follow(listed["metadata"]["resourceVersion"]))
        try:
            yield
        finally:
            ending = [following, *self._readings]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def living(self, variant: Variant) -> list[dict[str, Any]]:
        """The variant's pods that are not being deleted."""
        return [
            pod
            for pod in self._pods.values()
            if pod["metadata"]["namespace"] == variant.key and "deletionTimestamp" not in pod["metadata"]
        ]

    def ready(self, variant: Variant) -> set[str]:
        """The ids of the variant's living instances whose pods are ready."""
        return {variant.instance_id(pod["status"]["podIP"]) for pod in self.living(variant) if is_ready(pod)}

    def of(self, variant: Variant, pod: dict[str, Any]) -> Leaving:
        """What is known of this pod's instance, from now on."""
        metadata = pod["metadata"]
        made = Leaving(metadata["uid"], metadata["name"], variant.instance_id(pod["status"]["podIP"]))
        return self.leaving.setdefault(metadata["uid"], made)

    async def _follow(self, version: str) -> None:
        while True:
            try:
                async for event, pod in self._cluster.client.watch("pods", version=version, seconds=WATCH_SECONDS):
                    version = pod["metadata"]["resourceVersion"]
                    if event != "BOOKMARK":
                        self._see(event, pod)
            except (KubeError, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(AGAIN_SECONDS)

    def _see(self, event: str, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        variant = self._variants.get(metadata["namespace"])
        if event == "DELETED":
            self._pods.pop(metadata["uid"], None)
        else:
            self._pods[metadata["uid"]] = pod
        if variant is None or not metadata.get("deletionTimestamp") or not pod["status"].get("podIP"):
            return
        instance = self.of(variant, pod)
        if instance.deleted_at is None:
            instance.deleted_at = now()
            reading = asyncio.create_task(self._read(variant, instance))
            self._readings.add(reading)
            reading.add_done_callback(self._readings.discard)

    async def _read(self, variant: Variant, instance: Leaving) -> None:
        nodes = self._regions[variant.region].nodes
        names = [node.name for node in nodes]
        while True:
            try:
                answers = await asyncio.gather(*(node.registry.get(variant.key, instance.id) for node in nodes))
                at = now()
                for name, answer in zip(names, answers, strict=True):
                    instance.apply(name, answer["status"] if answer else None, at)
            except (RegistryError, aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
            self._note_the_nodes_view(instance)
            if instance.gone_at is not None and instance.shows(None, names):
                return
            still_up = any(seen[-1][1] == UP for seen in instance.shown.values())
            await asyncio.sleep(FAST_SECONDS if still_up or not instance.shown else SLOW_SECONDS)

    def _note_the_nodes_view(self, instance: Leaving) -> None:
        timeline = self._cluster.node.timelines[instance.uid]
        instance.pre_stop_ended_at, instance.pre_stop_failure = timeline.pre_stop_ended, timeline.pre_stop_failure
        instance.sigterm_at, instance.sigkill_at = timeline.sigterm_at, timeline.sigkill_at
        instance.exited_at, instance.gone_at = timeline.exited_at, timeline.deleted_at
