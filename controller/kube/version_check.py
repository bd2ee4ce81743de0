"""Whether the API server at the end of this connection is as far as its cluster.

Two troubles of which no watch says a word. Where etcd was restored from a backup, a watch from a version that the
cluster has not come to yet stays open, and silent, until it has: hours later. And of several API servers, one that has
lost etcd goes on serving watches from what it remembers, bookmarks included, on whatever connection is open.

So a list of one object is asked for between two watches: its version comes from etcd. Its connection is not used again,
so that the next watch may meet another API server.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from loguru import logger

from controller.errors import KubernetesError
from controller.flows.ports import Clock
from controller.kube.client import KubeApi
from controller.kube.pod_decoder import decode_list_version

READ_TIMEOUT = 5.0
"""Seconds without a byte: meanwhile nothing is watched."""
CHECK_INTERVAL = timedelta(seconds=5)
"""How long an answer is good for: a watch may end at once, again and again."""


class VersionCheck:
    """Compares the version of one feed with that of its cluster."""

    def __init__(self, api: KubeApi, path: str, *, clock: Clock) -> None:
        self._api = api
        self._path = path
        self._clock = clock
        self._answered_at: datetime | None = None
        self.known = True
        """Whether the cluster's version was known after the last watch; else what that showed may have been old."""

    async def went_back(self, version: str) -> bool:
        """Ask, and return whether the cluster is behind this version; where nobody says, it is not ``known``."""
        if self._answered_at is not None and self._clock() - self._answered_at < CHECK_INTERVAL:
            return False
        try:
            # Without a resourceVersion: from etcd, past the API server's cache.
            body = await self._api.get(self._path, {"limit": "1"}, read_timeout=READ_TIMEOUT, closes=True)
            current = decode_list_version(body)
        except KubernetesError as error:
            log = logger.bind(path=self._path, error=str(error))
            words = "the API server does not say how far its cluster is; what it shows may be old"
            log.log("WARNING" if self.known else "DEBUG", words)
            self.known, self._answered_at = False, None
            return False
        self.known, self._answered_at = True, self._clock()
        if not _is_before(current, version):
            return False
        logger.bind(path=self._path, seen=version, now=current).warning("the cluster's version has gone back")
        return True


def _is_before(one: str, other: str) -> bool:
    """Compare two versions of the same resource, as far as they are numbers."""
    return all(text.isascii() and text.isdecimal() for text in (one, other)) and int(one) < int(other)
