"""Pods that have lost the labels that a watch selects by: they live, and no watch reports their end.

To a watch with a selector such a pod is deleted. Operators take a label away to put a pod aside and look at it; when it
dies, it is to be drained like any other. So each is looked at by its name, until its object is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger

from controller.bounds import MAX_UNSELECTED
from controller.domain.bounded_map import BoundedMap
from controller.domain.causes import cause_of
from controller.domain.pods import Pod
from controller.domain.shutdown.pod_details import PodDetails
from controller.errors import KubernetesError
from controller.flows.ports import Changed, Removed, Sighting, Unselected
from controller.kube.client import KubeApi, NotFoundError, TooLargeError
from controller.kube.listing import pod_path
from controller.kube.pod_decoder import decode_pod
from controller.kube.pod_details_decoder import details_of

LOOK_INTERVAL = timedelta(seconds=5)
READ_TIMEOUT = 5.0
"""Seconds without a byte."""
FROM_CACHE = {"resourceVersion": "0"}
"""Cheap: the API server does not ask etcd. But it may answer with an older state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A pod as it was seen last."""

    pod: Pod
    details: PodDetails | None = None
    version: str = ""


class UnselectedPods:
    """The pods of one feed that do not bear its labels any more."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._known: BoundedMap[str, _Known] = BoundedMap(MAX_UNSELECTED)
        self._forgotten: list[str] = []
        """To be reported."""

    @property
    def uids(self) -> frozenset[str]:
        """Who they are."""
        return frozenset((*self._known, *self._forgotten))

    async def take_in(self, pod: Pod) -> Changed | None:
        """Look whether a pod that a watch calls deleted is still there, and keep it if so."""
        seen = await self._read(pod, {})
        if seen is None:
            return None
        self._keep(seen)
        return Changed(pod=seen.pod, details=seen.details)

    def let_go(self, uid: str) -> None:
        """Take it that the watch reports this pod: it bears its labels again."""
        self._known.pop(uid, None)

    async def follow(self) -> AsyncIterator[Sighting]:
        """Yield what becomes of them, for ever."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL.total_seconds())
            while self._forgotten:
                yield Unselected(uid=self._forgotten.pop())
            for known in list(self._known.values()):
                try:
                    sighting = await self._look(known)
                except KubernetesError as error:
                    logger.bind(pod=known.pod.key, error=str(error)).debug("a pod without the labels was not looked at")
                    break
                if sighting is not None:
                    yield sighting

    async def _look(self, known: _Known) -> Sighting | None:
        # A cache that lags may show neither this pod nor its end: who is missing there is asked for once more.
        seen = await self._read(known.pod, FROM_CACHE) or await self._read(known.pod, {})
        if known.pod.uid not in self._known:
            return None
        if seen is None:
            del self._known[known.pod.uid]
            return Removed(pod=known.pod, details=known.details)
        if seen.version == known.version:
            return None
        self._known[known.pod.uid] = seen
        return Changed(pod=seen.pod, details=seen.details)

    async def _read(self, pod: Pod, query: dict[str, str]) -> _Known | None:
        try:
            path = pod_path(pod.namespace, pod.name)
            found, whole = decode_pod(await self._api.get(path, query, read_timeout=READ_TIMEOUT))
        except NotFoundError:
            return None
        except TooLargeError:
            return _Known(pod=pod)  # it is there, and has been read before
        if found.uid != pod.uid:
            return None
        details = details_of(found, whole) if cause_of(found) else None
        return _Known(pod=found, details=details, version=whole.metadata.resource_version)

    def _keep(self, seen: _Known) -> None:
        for oldest in self._known.put(seen.pod.uid, seen):
            self._forgotten.append(oldest.pod.uid)
            logger.bind(pod=oldest.pod.key).warning("more pods without the labels than are looked at; this one is not")
