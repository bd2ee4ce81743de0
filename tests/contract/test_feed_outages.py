"""The reflector while the API server restarts, forgets its history, hangs, or refuses."""

from __future__ import annotations

import asyncio
import time

import pytest
from loguru import logger

from tests.contract.following import Following, connected, feed_of, names_in
from tests.contract.test_feed import create
from tests.stack.cluster import Cluster
from tests.stack.waiting import until


async def test_after_a_compaction_it_lists_again_without_what_was_deleted(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(cluster, namespace, "stays", "goes")
    async with (
        connected(cluster.kubeconfig, monkeypatch) as api,
        Following(feed_of(api, namespaces=[namespace])) as following,
    ):
        await until(lambda: following.lists, "a list")
        following.hold()
        before = len(following.sightings)
        await create(cluster, namespace, "wakes-it")
        await until(lambda: len(following.sightings) > before, "held")
        await cluster.api.apiserver.restart()
        await cluster.client.delete("pods", "goes", namespace, grace_seconds=0)
        await until(lambda: _gone(cluster, namespace, "goes"), "deleted")
        await create(cluster, namespace, "another")
        await cluster.api.compact()
        await cluster.api.apiserver.restart()
        following.go_on()
        await until(lambda: len(following.lists) == 2, "a new list", timeout=40)
        assert names_in(following.lists[1], namespace) == ["another", "stays", "wakes-it"]
        assert not [kind for kind, one in following.of(namespace) if kind == "Removed" and one.name == "goes"]
        await cluster.client.delete("pods", "stays", namespace, grace_seconds=0)
        await until(lambda: ("Removed", "stays") in _kinds(following, namespace), "a later change")


async def test_a_restart_alone_loses_nothing_and_needs_no_new_list(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(cluster, namespace, "one")
    async with (
        connected(cluster.kubeconfig, monkeypatch) as api,
        Following(feed_of(api, namespaces=[namespace])) as following,
    ):
        await until(lambda: following.lists, "a list")
        await cluster.api.apiserver.restart()
        await cluster.client.delete("pods", "one", namespace, grace_seconds=0)
        await until(
            lambda: (
                ("Removed", "one") in _kinds(following, namespace)
                or (len(following.lists) > 1 and "one" not in names_in(following.lists[-1], namespace))
            ),
            "gone",
            timeout=40,
        )
        assert following.feed.live


async def test_a_hanging_api_server_is_detected_in_15_seconds_and_watched_again(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(cluster, namespace, "one")
    noticed: list[float] = []
    sink = logger.add(lambda _: noticed.append(time.monotonic()), filter=lambda r: "interrupted" in r["message"])
    try:
        async with (
            connected(cluster.kubeconfig, monkeypatch) as api,
            Following(feed_of(api, namespaces=[namespace])) as following,
        ):
            await until(lambda: following.lists, "a list")
            await asyncio.sleep(1)
            cluster.api.apiserver.pause()
            paused = time.monotonic()
            try:
                await until(lambda: noticed, "noticed", timeout=20)
                assert noticed[0] - paused < 15
            finally:
                cluster.api.apiserver.resume()
            await cluster.client.delete("pods", "one", namespace, grace_seconds=0)
            await until(lambda: ("Removed", "one") in _kinds(following, namespace), "removed", timeout=30)
            assert len(following.lists) == 1
    finally:
        logger.remove(sink)


async def test_without_rights_it_goes_on_trying_and_is_not_live(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.client.create("serviceaccounts", {"metadata": {"name": "nobody"}}, namespace)
    kubeconfig = await cluster.api.service_account_kubeconfig("nobody", namespace)
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message} {extra}")
    try:
        async with connected(kubeconfig, monkeypatch) as api, Following(feed_of(api)) as following:
            await until(lambda: len(api.queries) >= 3, "three tries", timeout=20)
            assert following.running
            assert not following.feed.live
            assert following.sightings == []
            assert "HTTP 403" in "".join(logged)
            assert "Forbidden" in "".join(logged)
    finally:
        logger.remove(sink)


async def test_rights_that_are_given_later_are_used(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.client.create("serviceaccounts", {"metadata": {"name": "later"}}, namespace)
    kubeconfig = await cluster.api.service_account_kubeconfig("later", namespace)
    async with connected(kubeconfig, monkeypatch) as api, Following(feed_of(api, namespaces=[namespace])) as following:
        await until(lambda: len(api.queries) >= 2, "two tries", timeout=20)
        await cluster.kubectl("-n", namespace, "create", "role", "reads", "--verb=list,watch", "--resource=pods")
        account = f"--serviceaccount={namespace}:later"
        await cluster.kubectl("-n", namespace, "create", "rolebinding", "reads", "--role=reads", account)
        await until(lambda: following.lists and following.feed.live, "a list", timeout=30)


def _kinds(following: Following, namespace: str) -> list[tuple[str, str]]:
    return [(kind, one.name) for kind, one in following.of(namespace)]


async def _gone(cluster: Cluster, namespace: str, name: str) -> bool:
    return await cluster.client.get("pods", name, namespace) is None
