"""The reflector on a real API server: pages, scopes, and every change once and in order."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from controller.domain.causes import Cause, cause_of
from controller.domain.gone import gone_of
from controller.domain.pods import Pod
from controller.kube import feed as feed_module
from controller.kube import unselected_pods
from tests.contract.following import CountingApi, Following, connected, feed_of, names_in
from tests.stack.cluster import Cluster
from tests.stack.observing import ready_pods
from tests.stack.waiting import until
from tests.stack.workloads import container, pod, pod_spec

IDLE = pod_spec(container(), grace_seconds=1)


@pytest_asyncio.fixture(loop_scope="session")
async def api(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountingApi]:
    """The product's connection, as admin."""
    async with connected(cluster.kubeconfig, monkeypatch) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def second_namespace(cluster: Cluster) -> AsyncIterator[str]:
    """Another one."""
    name = f"test-{secrets.token_hex(4)}"
    await cluster.client.create("namespaces", {"metadata": {"name": name}}, None)
    yield name
    for one in await cluster.client.list("pods", name):
        await cluster.client.delete("pods", one["metadata"]["name"], name, grace_seconds=0)
    await cluster.client.delete("namespaces", name, None)


async def create(cluster: Cluster, namespace: str, *names: str) -> None:
    for name in names:
        await cluster.client.create("pods", pod(name, IDLE), namespace)


async def test_a_list_comes_in_pages_and_is_complete(cluster: Cluster, namespace: str, api: CountingApi) -> None:
    names = [f"p-{number}" for number in range(5)]
    await create(cluster, namespace, *names)
    async with Following(feed_of(api, namespaces=[namespace], page_size=2)) as following:
        await until(lambda: following.lists, "a list")
        assert names_in(following.lists[0], namespace) == names
        assert following.lists[0].scope == namespace
        pages = [query for query in api.queries if "watch" not in query]
        assert [query["limit"] for query in pages] == ["2"] * 3
        assert ["continue" in query for query in pages] == [False, True, True]


async def test_a_pod_is_seen_to_come_get_its_address_go_and_be_gone(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    async with Following(feed_of(api, namespaces=[namespace])) as following:
        await until(lambda: following.lists, "a list")
        assert following.lists[0].pods == ()
        await create(cluster, namespace, "one")
        await until(lambda: following.of(namespace) and following.of(namespace)[-1][1].phase == "Running", "running")
        await cluster.client.delete("pods", "one", namespace)
        await until(lambda: following.of(namespace)[-1][0] == "Removed", "removed")
        seen = following.of(namespace)
        assert [kind for kind, _ in seen].count("Removed") == 1
        assert len({one.uid for _, one in seen}) == 1
        terminating = [one for _, one in seen if one.terminating]
        assert terminating[0].ip.startswith("127.")
        assert terminating[0].grace_seconds == 1
        assert terminating[0].created_at is not None
        assert terminating[0].app_label == "one"
        assert seen[-1][1].ip == terminating[0].ip
        assert following.feed.live


async def test_a_pod_that_is_deleted_outright_is_removed_without_a_warning(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "one")
    await until(lambda: cluster.client.get("pods", "one", namespace), "created")
    async with Following(feed_of(api, namespaces=[namespace])) as following:
        await until(lambda: following.lists, "a list")
        await cluster.client.delete("pods", "one", namespace, grace_seconds=0)
        await until(lambda: [kind for kind, _ in following.of(namespace)][-1:] == ["Removed"], "removed")


async def test_excluded_namespaces_are_neither_listed_nor_watched(
    cluster: Cluster, namespace: str, second_namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "seen")
    await create(cluster, second_namespace, "hidden")
    async with Following(feed_of(api, exclude_namespaces=[second_namespace, "kube-system"])) as following:
        await until(lambda: following.lists, "a list")
        assert following.lists[0].scope == ""
        assert names_in(following.lists[0], namespace) == ["seen"]
        assert names_in(following.lists[0], second_namespace) == []
        await create(cluster, second_namespace, "hidden-too")
        await create(cluster, namespace, "seen-too")
        await until(lambda: any(one.name == "seen-too" for _, one in following.of(namespace)), "seen")
        assert following.of(second_namespace) == []


async def test_a_pod_is_there_by_its_uid_whether_or_not_it_is_watched(
    cluster: Cluster, namespace: str, second_namespace: str, api: CountingApi
) -> None:
    await create(cluster, second_namespace, "hidden")
    shown = await until(lambda: cluster.client.get("pods", "hidden", second_namespace), "created")
    feed, uid = feed_of(api, exclude_namespaces=[second_namespace]), shown["metadata"]["uid"]
    assert await feed.has(second_namespace, "hidden", uid)
    assert not await feed.has(second_namespace, "hidden", "another-uid")
    assert not await feed.has(namespace, "hidden", uid)
    assert not await feed.has(second_namespace, "../pods", uid)


async def test_one_namespace_is_watched_and_no_other(
    cluster: Cluster, namespace: str, second_namespace: str, api: CountingApi
) -> None:
    async with Following(feed_of(api, namespaces=[namespace])) as following:
        await until(lambda: following.lists, "a list")
        await create(cluster, second_namespace, "elsewhere")
        await create(cluster, namespace, "here")
        await until(lambda: following.of(namespace), "here")
        assert following.of(second_namespace) == []


async def test_a_label_selector_narrows_the_list_and_the_watch(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "mine", "other")
    async with Following(feed_of(api, namespaces=[namespace], label_selector="app in (mine,mine-too)")) as following:
        await until(lambda: following.lists, "a list")
        assert names_in(following.lists[0], namespace) == ["mine"]
        await create(cluster, namespace, "other-too", "mine-too")
        await until(lambda: any(one.name == "mine-too" for _, one in following.of(namespace)), "mine too")
        assert not [one for _, one in following.of(namespace) if one.name.startswith("other")]


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unselected_pods, "LOOK_INTERVAL", timedelta(milliseconds=200))


@pytest.mark.usefixtures("looking_often")
async def test_a_pod_whose_label_is_taken_away_lives_on_and_is_seen_to_go(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    """The API server reports it as a deletion, although the pod lives."""
    hook = {"preStop": {"exec": {"command": ["sleep", "1"]}}}
    await cluster.client.create("pods", pod("mine", pod_spec(container(lifecycle=hook), grace_seconds=5)), namespace)
    async with Following(feed_of(api, namespaces=[namespace], label_selector="app=mine")) as following:
        await until(lambda: following.lists, "a list")
        await ready_pods(cluster, namespace, "mine", 1)
        await label(cluster, namespace, "mine", None)
        await asyncio.sleep(1)
        kind, seen = following.of(namespace)[-1]
        assert (kind, cause_of(seen)) == ("Changed", None), "a living pod must not be drained"
        looks = [query for query in api.queries if query.get("resourceVersion") == "0"]
        assert looks, "it is looked at, in the API server's cache"
        await cluster.client.delete("pods", "mine", namespace)
        await until(lambda: following.of(namespace)[-1][0] == "Removed", "removed")
        causes = [cause_of(pod) for _, pod in following.of(namespace)]
        assert Cause.terminating in causes
        assert following.of(namespace)[-1][1].ip


@pytest.mark.usefixtures("looking_often")
async def test_a_pod_without_its_label_is_removed_when_another_has_its_name(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "mine")
    async with Following(feed_of(api, namespaces=[namespace], label_selector="app=mine")) as following:
        await until(lambda: following.lists, "a list")
        [first] = following.lists[0].pods
        await label(cluster, namespace, "mine", None)
        await cluster.client.delete("pods", "mine", namespace, grace_seconds=0)
        await cluster.client.create("pods", {**pod("mine", IDLE), "metadata": {"name": "mine"}}, namespace)
        await until(lambda: ("Removed", first.uid) in uids_of(following, namespace), "removed")
        assert {uid for _, uid in uids_of(following, namespace)} == {first.uid}


@pytest.mark.usefixtures("looking_often")
async def test_a_label_that_comes_back_is_seen_by_the_watch(cluster: Cluster, namespace: str, api: CountingApi) -> None:
    await create(cluster, namespace, "mine")
    async with Following(feed_of(api, namespaces=[namespace], label_selector="app=mine")) as following:
        await until(lambda: following.lists, "a list")
        for value in (None, "mine"):
            await label(cluster, namespace, "mine", value)
        await until(lambda: following.of(namespace)[-1:] and following.of(namespace)[-1][1].app_label == "mine", "back")
        await asyncio.sleep(0.5)
        looks = len(api.queries)
        await asyncio.sleep(1)
        assert len(api.queries) == looks, "it is not looked at any more"
        await cluster.client.delete("pods", "mine", namespace, grace_seconds=0)
        await until(lambda: following.of(namespace)[-1][0] == "Removed", "removed")
        assert [kind for kind, _ in following.of(namespace)].count("Removed") == 1


@pytest.mark.usefixtures("looking_often")
async def test_who_has_lost_its_label_when_a_list_comes_is_known_to_live(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "early", "late")
    feed = feed_of(api, namespaces=[namespace], label_selector="app in (early, late)")
    async with Following(feed) as following:
        await until(lambda: following.lists, "a list")
        uids = {pod.name: pod.uid for pod in following.lists[0].pods}
        await label(cluster, namespace, "early", None)
        await until(lambda: feed._unselected.uids, "the first")
    await label(cluster, namespace, "late", None)
    listed, _ = await feed._list()
    assert listed.pods == ()
    assert (await feed._with_unselected(listed)).unselected == frozenset(uids.values())


async def test_each_end_of_a_pod_is_told_by_what_the_api_server_shows_of_it(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "asked", "forced")
    async with Following(feed_of(api, namespaces=[namespace])) as following:
        await until(lambda: following.lists, "a list")
        await until(lambda: _have_addresses(cluster, namespace), "their addresses")
        begun_at = datetime.now(UTC)
        await cluster.client.delete("pods", "asked", namespace)
        await cluster.client.delete("pods", "forced", namespace, grace_seconds=0)
        await until(lambda: len(removed_from(following, namespace)) == 2, "both are gone")
    over_at = datetime.now(UTC)
    last = removed_from(following, namespace)
    asked, forced = last["asked"], last["forced"]
    assert asked.started
    assert asked.ended_at is not None
    proved = gone_of(asked, Cause.deleted, over_at)
    assert proved is not None
    assert proved.proved
    assert begun_at < proved.at <= over_at
    assert forced.ended_at is None
    missed = gone_of(forced, Cause.deleted, over_at, seen_until=begun_at - timedelta(minutes=5))
    assert missed is not None
    assert not missed.proved
    assert abs(missed.at - begun_at) < timedelta(seconds=3), "its last state says when its deletion was asked for"


def removed_from(following: Following, namespace: str) -> dict[str, Pod]:
    return {one.name: one for kind, one in following.of(namespace) if kind == "Removed"}


async def label(cluster: Cluster, namespace: str, name: str, value: str | None) -> None:
    await cluster.client.patch("pods", name, {"metadata": {"labels": {"app": value}}}, namespace)


def uids_of(following: Following, namespace: str) -> list[tuple[str, str]]:
    return [(kind, one.uid) for kind, one in following.of(namespace)]


async def test_a_watch_that_the_server_ends_goes_on_without_losing_a_change(
    cluster: Cluster, namespace: str, api: CountingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "WATCH_SECONDS", 1)
    await create(cluster, namespace, "one")
    async with Following(feed_of(api, namespaces=[namespace])) as following:
        await until(lambda: following.lists, "a list")
        steps = [f"step-{number}" for number in range(60)]
        for step in steps:
            patch = {"metadata": {"annotations": {"eureka.drain/app": step}}}
            await cluster.client.patch("pods", "one", patch, namespace)
            await asyncio.sleep(0.08)
        await until(lambda: following.of(namespace)[-1][1].annotations.get("app") == steps[-1], "the last step")
        seen = dict.fromkeys(one.annotations["app"] for _, one in following.of(namespace) if "app" in one.annotations)
        assert list(seen) == steps
        assert len([query for query in api.queries if "watch" in query]) >= 4
        assert len(following.lists) == 1


async def test_what_was_removed_since_a_version_comes_with_its_last_state(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    await create(cluster, namespace, "stays", "goes", "went")
    feed = feed_of(api, namespaces=[namespace])
    async with Following(feed) as following:
        await until(lambda: following.lists, "a list")
        await until(lambda: _have_addresses(cluster, namespace), "their addresses")
        await cluster.client.delete("pods", "went", namespace, grace_seconds=0)
        await until(lambda: "Removed" in [kind for kind, _ in following.of(namespace)], "the first removal")
    noted = feed.version
    await cluster.client.delete("pods", "goes", namespace, grace_seconds=0)
    removed = await feed_of(api, namespaces=[namespace]).removed_since(noted)
    assert [one.pod.name for one in removed] == ["goes"]
    assert removed[0].pod.ip
    assert removed[0].details is not None


async def _have_addresses(cluster: Cluster, namespace: str) -> bool:
    return all(one["status"].get("podIP") for one in await cluster.client.list("pods", namespace))
