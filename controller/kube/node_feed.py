"""The nodes of the cluster: list, then watch, for ever. Where that is not allowed, nothing else suffers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from loguru import logger

from controller.domain.nodes import ClusterNode
from controller.errors import KubernetesError
from controller.flows.backoff import Backoff
from controller.flows.ports import Clock
from controller.kube.client import ExpiredError, KubeApi, KubeForbiddenError
from controller.kube.listing import list_whole
from controller.kube.node_decoder import decode_listed_node, decode_node
from controller.kube.pod_decoder import decode_bookmark
from controller.kube.version_check import VersionCheck
from controller.kube.watching import watch_events

NODES_PATH = "/api/v1/nodes"
WATCH_SECONDS = 10
MIN_BACKOFF, MAX_BACKOFF = timedelta(seconds=0.8), timedelta(seconds=30)
FORBIDDEN_INTERVAL = timedelta(minutes=5)
"""Until it is tried again, where it is not allowed."""


class KubeNodeFeed:
    """The flows' ``NodeFeed``."""

    def __init__(self, api: KubeApi, *, page_size: int, clock: Clock) -> None:
        self._api = api
        self._page_size = page_size
        self._version_check = VersionCheck(api, NODES_PATH, clock=clock)
        self._forbidden_logged = False

    async def follow(self) -> AsyncIterator[ClusterNode]:
        """Yield each node, and whatever changes, for ever; nothing where that is not allowed."""
        version = ""
        backoff = Backoff(first=MIN_BACKOFF, longest=MAX_BACKOFF)
        while True:
            try:
                if version and await self._version_check.went_back(version):
                    version = ""
                if not version:
                    nodes, version, _ = await list_whole(self._api, NODES_PATH, self._page_size, decode_listed_node)
                    for node in nodes:
                        yield node
                async for seen, seen_at in self._watch(version):
                    version, self._forbidden_logged = seen_at, False
                    if seen is not None:
                        yield seen
                backoff.reset()
                continue
            except KubeForbiddenError as error:
                version = ""
                await self._wait_for_the_right(error)
                continue
            except ExpiredError:
                version = ""
            except KubernetesError as error:
                logger.bind(error=str(error)).debug("the watch of the nodes was interrupted")
            await backoff.wait()

    async def _watch(self, version: str) -> AsyncIterator[tuple[ClusterNode | None, str]]:
        async for kind, body in watch_events(self._api, NODES_PATH, {}, version, seconds=WATCH_SECONDS):
            if kind in ("ADDED", "MODIFIED"):
                yield decode_node(body)
            elif kind in ("DELETED", "BOOKMARK"):
                # A node that is gone has not come back.
                yield None, decode_bookmark(body)

    async def _wait_for_the_right(self, error: KubeForbiddenError) -> None:
        if not self._forbidden_logged:
            log = logger.bind(error=str(error))
            log.info("nodes may not be listed and watched: pods are not drained before their node has shut them down")
        self._forbidden_logged = True
        await asyncio.sleep(FORBIDDEN_INTERVAL.total_seconds())
