"""Has the cluster's version gone back? Then its etcd was restored from a backup, and no watch says so.

A watch from a version that the cluster has not come to yet stays open, and silent, until it has: hours later. A list
says which version there is, so one is asked for from time to time, of one object.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from loguru import logger

from controller.errors import KubernetesError
from controller.flows.ports import Clock
from controller.kube.client import KubeApi
from controller.kube.pod_decoder import decode_list_version

CHECK_INTERVAL = timedelta(seconds=30)
READ_TIMEOUT = 5.0
"""Seconds without a byte: meanwhile nothing is watched."""


class VersionCheck:
    """Compares the version of one feed with that of the API server."""

    def __init__(self, api: KubeApi, path: str, *, clock: Clock) -> None:
        self._api = api
        self._path = path
        self._clock = clock
        self._due_at: datetime | None = clock() + CHECK_INTERVAL

    def hasten(self) -> None:
        """Compare at the next opportunity: the API server may have been started anew, from a backup."""
        self._due_at = None

    async def went_back(self, version: str) -> bool:
        """Return whether the API server is behind this version, if it is time to ask."""
        now = self._clock()
        if self._due_at is not None and now < self._due_at:
            return False
        self._due_at = now + CHECK_INTERVAL
        try:
            # Without a resourceVersion: from etcd, past the API server's cache.
            current = decode_list_version(await self._api.get(self._path, {"limit": "1"}, read_timeout=READ_TIMEOUT))
        except KubernetesError as error:
            logger.bind(error=str(error)).debug("the API server's version is not known")
            return False
        if not _is_before(current, version):
            return False
        logger.bind(path=self._path, seen=version, now=current).warning("the cluster's version has gone back")
        return True


def _is_before(one: str, other: str) -> bool:
    """Compare two versions of the same resource, as far as they are numbers."""
    return all(text.isascii() and text.isdecimal() for text in (one, other)) and int(one) < int(other)
