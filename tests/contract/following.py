"""A real feed that a test follows: its sightings are kept, and it can be held between two of them.

Trap: a feed that is held watches nothing; its connection stays as it is until somebody asks for the next sighting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.domain.pods import Pod
from controller.flows.ports import Changed, Listed, Removed, Sighting
from controller.kube.client import KubeApi
from controller.kube.feed import KubePodFeed, feeds
from controller.settings import WatchSettings


class CountingApi(KubeApi):
    """The product's connection, noting each request's query."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[dict[str, str]] = []

    async def _request(self, path: str, query: dict[str, str], **options: Any) -> Any:
        self.queries.append(dict(query))
        return await super()._request(path, query, **options)


@asynccontextmanager
async def connected(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountingApi]:
    """A connection with these credentials."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    # The library reads the variable once, when it is imported.
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    api = CountingApi()
    async with api:
        yield api


def feed_of(api: KubeApi, **settings: Any) -> KubePodFeed:
    """The only feed of these settings."""
    (feed,) = feeds(api, WatchSettings.model_validate(settings), clock=lambda: datetime.now(UTC))
    return feed


class Following:
    """An async context manager."""

    def __init__(self, feed: KubePodFeed) -> None:
        self.feed = feed
        self.sightings: list[Sighting] = []
        self._gate = asyncio.Event()
        self._gate.set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Following:
        for stream in (self.feed.follow(), self.feed.follow_unselected()):
            self._tasks.append(asyncio.create_task(self._follow(stream), name="follow"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def running(self) -> bool:
        """False when the feed has ended or failed, which it never should."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def lists(self) -> list[Listed]:
        """Every complete list."""
        return [sighting for sighting in self.sightings if isinstance(sighting, Listed)]

    def of(self, namespace: str) -> list[tuple[str, Pod]]:
        """The changes and removals in this namespace: kind and pod."""
        return [
            (type(one).__name__, one.pod)
            for one in self.sightings
            if isinstance(one, Changed | Removed) and one.pod.namespace == namespace
        ]

    def hold(self) -> None:
        """Ask for nothing more after the sighting that is awaited now."""
        self._gate.clear()

    def go_on(self) -> None:
        """Ask again."""
        self._gate.set()

    async def _follow(self, stream: AsyncIterator[Sighting]) -> None:
        async for sighting in stream:
            self.sightings.append(sighting)
            await self._gate.wait()


def names_in(listed: Listed, namespace: str) -> Sequence[str]:
    """The names of the namespace's pods, sorted."""
    return sorted(pod.name for pod in listed.pods if pod.namespace == namespace)
