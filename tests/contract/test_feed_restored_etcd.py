"""The reflector when etcd is restored from a backup: the cluster's version goes back, and no watch says so.

Also where the API server goes on with a cache from before: then only lists show the truth, one after the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from controller.flows.ports import Changed, Listed
from tests.contract.following import Following, connected, feed_of
from tests.stack.cluster import Cluster
from tests.stack.prerequisites import ReportProgress
from tests.stack.stack import Stack
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = [f"orders-{number}" for number in range(5)]


@pytest_asyncio.fixture(loop_scope="session")
async def own_cluster(report_progress: ReportProgress) -> AsyncIterator[Cluster]:
    """One that a test may put back. Nobody cleans up its pods, whose node is not there."""
    async with Stack(cluster=True, report_progress=report_progress) as stack:
        await stack.cluster.api.controller_manager.stop()
        yield stack.cluster


async def create(cluster: Cluster, *names: str) -> None:
    spec = {"nodeName": "elsewhere", "containers": [{"name": "main", "image": "none"}]}
    for name in names:
        await cluster.client.create("pods", {"metadata": {"name": name}, "spec": spec}, "default")


@pytest.mark.parametrize("restarted", [True, False], ids=["API server restarted", "API server goes on"])
async def test_pods_that_terminate_after_etcd_was_restored_are_found(
    own_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    await create(own_cluster, *NAMES)
    async with (
        connected(own_cluster.kubeconfig, monkeypatch) as api,
        Following(feed_of(api, namespaces=["default"])) as following,
    ):
        await until(lambda: following.lists, "a list")
        await own_cluster.api.back_up(tmp_path / "backup")
        await create(own_cluster, *(f"later-{number}" for number in range(200)))
        await until(lambda: len(following.of("default")) >= 200, "the later ones")
        ahead = int(following.feed.version)
        await own_cluster.api.restore(tmp_path / "backup")
        if restarted:
            await own_cluster.api.apiserver.restart()
        for name in NAMES:
            await own_cluster.client.delete("pods", name, "default")
        await until(lambda: terminating_after_the_second_list(following) == set(NAMES), "five that go", timeout=60)
        assert {pod.name for pod in following.lists[-1].pods} == set(NAMES)
        if restarted:
            assert int(following.feed.version) < ahead
            assert len(following.lists) == 2, "the watch reports again"


def terminating_after_the_second_list(following: Following) -> set[str]:
    if len(following.lists) < 2:
        return set()
    later = following.sightings[following.sightings.index(following.lists[1]) :]
    pods = [pod for one in later if isinstance(one, Listed) for pod in one.pods]
    pods += [one.pod for one in later if isinstance(one, Changed)]
    return {pod.name for pod in pods if pod.terminating}
