"""A feed whose API server does not say how far its cluster is: nothing that it shows says that nothing has happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

from controller.domain.tracking import Tracker
from controller.errors import KubernetesError
from controller.flows.watch import Watch
from controller.kube.client import KubeApi
from controller.kube.feed import KubePodFeed
from controller.settings import WatchSettings
from tests.fakes.virtual_time import in_virtual_time, virtual_clock


def a_body(version: str) -> dict[str, Any]:
    running = {"running": {"startedAt": "2025-06-01T11:00:00Z"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "orders-0",
            "namespace": "shop",
            "uid": "uid-1",
            "resourceVersion": version,
            "creationTimestamp": "2025-06-01T11:00:00Z",
        },
        "spec": {"nodeName": "node-a", "containers": [{"name": "main", "ports": [{"containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": "10.1.0.7", "containerStatuses": [{"name": "main", "state": running}]},
    }


class CutOffApi:
    """An API server that may have lost etcd: watches go on, and nothing is said of the cluster's version."""

    def __init__(self) -> None:
        self.cut_off = False
        self.events: list[dict[str, Any]] = []

    async def get(self, path: str, query: dict[str, str], **_: Any) -> bytes:
        if query.get("limit") == "1" and self.cut_off:
            await asyncio.sleep(1)
            raise KubernetesError("HTTP 500: etcdserver: request timed out")
        listed = {"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "10"}, "items": [a_body("9")]}
        return json.dumps(listed).encode()

    async def lines(self, path: str, query: dict[str, str], *, read_timeout: float) -> AsyncIterator[bytes]:
        while self.events and not self.cut_off:
            yield json.dumps(self.events.pop(0)).encode()
        await asyncio.sleep(float(query["timeoutSeconds"]))


@in_virtual_time
async def test_what_went_while_the_api_server_was_cut_off_did_not_go_just_now() -> None:
    api, tracker = CutOffApi(), Tracker()
    feed = KubePodFeed(cast("KubeApi", api), WatchSettings(), clock=virtual_clock)
    watching = asyncio.create_task(
        Watch(feeds=[feed], tracker=tracker, listeners=[], clock=virtual_clock).run(), name="watch"
    )
    await asyncio.sleep(15)
    api.cut_off = True
    cut_at = virtual_clock()
    await asyncio.sleep(300)
    assert not feed.live
    api.events = [{"type": "DELETED", "object": a_body("11")}]
    api.cut_off = False
    await asyncio.sleep(30)
    gone = tracker.gone("uid-1")
    assert gone is not None
    assert gone.at - cut_at < timedelta(seconds=15)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


class RestartingApi:
    """An API server that is away for one question, and has forgotten its history then; its pod has lost its labels."""

    def __init__(self) -> None:
        self.labelled = True
        self.events: list[dict[str, Any]] = []
        self.answers: list[bool] = []

    async def get(self, path: str, _: dict[str, str], **__: Any) -> bytes:
        if path.endswith("/orders-0"):
            self.answers.append(bool(self.answers))
            if not self.answers[-1]:
                raise KubernetesError("the API server cannot be reached")
            return json.dumps(a_body("11")).encode()
        items = [a_body("9")] if self.labelled else []
        return json.dumps({"kind": "PodList", "metadata": {"resourceVersion": "12"}, "items": items}).encode()

    async def lines(self, _: str, query: dict[str, str], *, read_timeout: float) -> AsyncIterator[bytes]:
        if self.answers == [False]:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            yield json.dumps({"type": "ERROR", "object": status}).encode()
            return
        while self.events:
            yield json.dumps(self.events.pop(0)).encode()
        await asyncio.sleep(float(query["timeoutSeconds"]))


@in_virtual_time
async def test_who_lost_the_watched_label_at_a_servers_restart_lives() -> None:
    api, tracker = RestartingApi(), Tracker()
    feed = KubePodFeed(cast("KubeApi", api), WatchSettings(label_selector="team=shop"), clock=virtual_clock)
    watching = asyncio.create_task(Watch(feeds=[feed], tracker=tracker, listeners=[], clock=virtual_clock).run())
    await asyncio.sleep(15)
    api.labelled = False
    api.events = [{"type": "DELETED", "object": a_body("11")}]
    await asyncio.sleep(60)
    assert api.answers[:2] == [False, True]
    assert list(tracker.due()) == []
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
