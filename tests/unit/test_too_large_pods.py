"""Pods as large as etcd admits are read, whoever makes them; larger ones are named, and nobody takes them for gone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.bounds import KIB, MAX_OBJECT_BYTES, MIB
from controller.domain.annotations import KNOWN
from controller.errors import KubernetesError
from controller.flows.ports import Alive, Changed, Listed, Removed, Sighting
from controller.kube.client import METADATA_LIST, KubeApi
from controller.kube.feed import KubePodFeed
from controller.kube.listing import Census
from controller.kube.pod_decoder import decode_head
from controller.kube.pod_object import Annotations
from controller.settings import WatchSettings
from tests.fakes.held_loop import longest_callback, peak_memory
from tests.fakes.hostile_server import Said, hostile_server

WORDS = 700_000
WATCHED = 3


def a_large_pod(number: int, *, words: int = 0, size: int = 0, version: int = 5, going: bool = False) -> bytes:
    """As the API server writes it: compact, its name first."""
    metadata: dict[str, Any] = {"name": f"p-{number}", "namespace": "shop", "uid": f"uid-{number}"}
    metadata |= {"resourceVersion": str(version), "creationTimestamp": "2025-06-01T11:00:00Z"}
    if going:
        metadata |= {"deletionTimestamp": "2025-06-01T12:00:30Z", "deletionGracePeriodSeconds": 30}
    container = {"name": "main", "image": "x" * size, "lifecycle": {"preStop": {"exec": {"command": ["@"]}}}}
    whole = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": [container]}}
    whole["status"] = {"phase": "Running", "podIP": f"10.0.0.{number}"}
    body = json.dumps(whole, separators=(",", ":")).encode()
    return body.replace(b'"@"', b",".join([b'""'] * words))


class Cluster:
    """What a hostile server answers: these pods, page by page, and then these events."""

    def __init__(self, pods: list[bytes], events: list[tuple[str, bytes]]) -> None:
        self.pods = pods
        self.events = events
        self.sizes: list[int] = []
        self.watched_from: list[str] = []
        self.version = 5

    def __call__(self, _: str, query: dict[str, str], accept: str) -> Said:
        if query.get("watch"):
            self.watched_from.append(query["resourceVersion"])
            return Said(self._lines(query["resourceVersion"]))
        begin, size = int(query.get("continue", "0")), int(query["limit"])
        self.sizes.append(size)
        end = min(begin + size, len(self.pods))
        more = str(end) if end < len(self.pods) else ""
        pods = self.pods[begin:end]
        if accept == METADATA_LIST:
            pods = [json.dumps({"metadata": json.loads(pod)["metadata"]}).encode() for pod in pods]
        metadata = json.dumps({"resourceVersion": str(self.version), "continue": more}).encode()
        items = [piece for pod in pods for piece in (b",", pod)][1:]  # not joined: what that takes is not the client's
        return Said([b'{"metadata":', metadata, b',"items":[', *items, b"]}"])

    def _lines(self, version: str) -> Iterator[bytes]:
        for kind, pod in self.events:
            of_event = int(json.loads(pod)["metadata"]["resourceVersion"])
            if of_event > int(version):
                self.version = max(self.version, of_event)
                yield b'{"type":"%s","object":%s}\n' % (kind.encode(), pod)
        time.sleep(0.5)


@asynccontextmanager
async def watching(cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubePodFeed]:
    with hostile_server(cluster) as url:
        named = {"context": {"cluster": "one", "user": "one"}}
        kubeconfig = {"current-context": "one", "contexts": [{"name": "one", **named}]}
        kubeconfig |= {"clusters": [{"name": "one", "cluster": {"server": url}}]}
        kubeconfig |= {"users": [{"name": "one", "user": {}}]}
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        # The client reads the variable once, when it is imported.
        place = "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        monkeypatch.setattr(place, str(folder / "kubeconfig"))
        async with KubeApi() as api:
            yield KubePodFeed(api, WatchSettings(), clock=lambda: datetime.now(UTC))


async def sighted(feed: KubePodFeed, count: int) -> list[Sighting]:
    """The first ones that say something."""
    found: list[Sighting] = []
    async for sighting in feed.follow():
        if not isinstance(sighting, Alive):
            found.append(sighting)
        if len(found) == count:
            return found
    raise AssertionError


@pytest.mark.parametrize("measured", ["time", "memory"])
async def test_sixty_pods_with_a_hook_of_700000_words_are_pods_like_any_other(
    measured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [a_large_pod(number, words=WORDS) for number in range(60)]
    events = [("MODIFIED", a_large_pod(n, words=WORDS, version=6 + n, going=True)) for n in range(WATCHED)]
    cluster = Cluster(pods, events)
    async with watching(cluster, tmp_path, monkeypatch) as feed:
        if measured == "time":
            async with longest_callback() as held:
                listed, *changed = await sighted(feed, 1 + WATCHED)
            held.check()
            print(f"\nS1: the loop was held for {1000 * held.seconds:.0f} ms at most")
        else:
            with peak_memory() as peak:
                listed, *changed = await sighted(feed, 1 + WATCHED)
            assert peak.megabytes < 80
            print(f"\nS1: {peak.megabytes:.0f} MB at most")
    assert isinstance(listed, Listed)
    assert len(listed.pods) == 60
    assert all(isinstance(one, Changed) and one.details is not None and one.pod.terminating for one in changed)
    assert cluster.sizes[0] == 500
    assert min(cluster.sizes) >= 3, "halved, and no further than is needed"


async def test_what_etcd_admits_is_read_although_json_is_six_times_as_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"\\u003c" * 1_500 * KIB
    large = a_large_pod(1, version=6, going=True, size=1).replace(b'"image":"x"', b'"image":"%s"' % text)
    assert len(large) > 8 * MIB
    async with watching(Cluster([], [("MODIFIED", large)]), tmp_path, monkeypatch) as feed:
        _, changed = await sighted(feed, 2)
    assert isinstance(changed, Changed)
    assert changed.pod.name == "p-1"


async def test_a_pod_that_is_too_large_is_named_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [a_large_pod(number, size=MAX_OBJECT_BYTES if number == 4 else 0) for number in range(9)]
    cluster = Cluster(pods, [])
    async with watching(cluster, tmp_path, monkeypatch) as feed:
        [listed] = await sighted(feed, 1)
        assert isinstance(listed, Listed)
        assert [pod.name for pod in listed.pods] == [f"p-{number}" for number in range(9) if number != 4]
        assert listed.unselected == {"uid-4"}, "it is there, and nobody drains it"
        assert [one.name for one in feed.too_large.values()] == ["p-4"]
        with pytest.raises(KubernetesError, match="shop/p-4 is too large to be read, so the list is not complete"):
            await Census(feed._api, namespaces=[], page_size=500).take()


async def test_an_event_that_is_too_large_is_passed_over_and_the_next_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [a_large_pod(number) for number in range(2)]
    events = [
        ("MODIFIED", a_large_pod(0, size=MAX_OBJECT_BYTES, version=6)),
        ("DELETED", a_large_pod(1, version=7)),
    ]
    cluster = Cluster(pods, events)
    async with watching(cluster, tmp_path, monkeypatch) as feed:
        _, removed = await sighted(feed, 2)
        assert isinstance(removed, Removed)
        assert removed.pod.name == "p-1"
        assert list(feed.too_large) == ["uid-0"]
    assert cluster.watched_from[:2] == ["5", "6"]


async def test_the_removal_of_what_is_too_large_leads_to_a_new_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster([a_large_pod(0)], [("DELETED", a_large_pod(0, size=MAX_OBJECT_BYTES, version=6))])
    async with watching(cluster, tmp_path, monkeypatch) as feed:
        found = await sighted(feed, 2)
    assert all(isinstance(one, Listed) for one in found)


@pytest.mark.parametrize("head", [b"", b"{}", b'{"type":"ADDED","object":{"spec":{}', a_large_pod(1)[:100]])
def test_a_beginning_that_names_nothing_names_nothing(head: bytes) -> None:
    assert decode_head(head) is None


def test_every_annotation_of_ours_is_read() -> None:
    fields = {name.replace("-", "_"): name for name in KNOWN}
    assert Annotations(**fields).ours == {name: name for name in KNOWN}
