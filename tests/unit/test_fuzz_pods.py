"""Pods and watch events as no API server sends them: refused or followed, and the next pod is drained all the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from controller.app.watch_parts import build_watch
from controller.domain.addressing import is_region_name
from controller.domain.events import Outcome, make_event
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Routing, make_commands
from controller.domain.tracking import Tracker
from controller.errors import KubernetesError
from controller.flows.priority import PriorityGate
from controller.kube.feed import KubePodFeed
from controller.kube.node_decoder import decode_listed_node, decode_node
from controller.kube.pod_decoder import (
    decode_bookmark,
    decode_event,
    decode_failure,
    decode_list_version,
    decode_listed_pod,
    decode_page,
    decode_pod,
)
from controller.messages.codec import encode_entry, encode_item
from controller.rabbit import names
from controller.settings import WatchSettings as Settings
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.unit.building import at
from tests.unit.fuzz_drawn import SHARE, Draw, RecordedOutbox, every_log_a_line, fuzz, fuzz_async

ROUTING = Routing(cluster="test", known=("eu",), default=("eu",), namespaces={})


ADDRESSES = {"podIPs": [{"ip": "10.1.0.7"}, {"ip": "fd00::7"}], "hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}]}


def an_object(uid: str = "uid-1", **status: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": "orders-0",
            "namespace": "shop",
            "uid": uid,
            "resourceVersion": "42",
            "creationTimestamp": "2025-06-01T11:00:00Z",
            "labels": {"app.kubernetes.io/name": "orders"},
            "annotations": {"eureka.drain/app": "orders", "other": "x"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-1", "uid": "rs-1", "controller": True}
            ],
        },
        "spec": {
            "nodeName": "node-a",
            "hostname": "orders-0",
            "subdomain": "orders",
            "hostNetwork": False,
            "containers": [{"name": "main", "ports": [{"containerPort": 8080}]}, {"name": "sidecar"}],
        },
        "status": {"phase": "Running", "podIP": "10.1.0.7", **ADDRESSES, **status},
    }


def going(uid: str = "uid-1") -> dict[str, Any]:
    whole = an_object(uid)
    whole["metadata"] |= {"deletionTimestamp": "2025-06-01T12:00:30Z", "deletionGracePeriodSeconds": 30}
    return whole


def ended(uid: str = "uid-1") -> dict[str, Any]:
    end = {"terminated": {"exitCode": 0, "finishedAt": "2025-06-01T12:00:00Z"}}
    gone = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": "2025-06-01T12:00:00Z"}
    statuses = [{"name": "main", "state": end}, {"name": "sidecar", "state": end, "lastState": {"running": {}}}]
    return an_object(uid, phase="Failed", containerStatuses=statuses, conditions=[ready, gone])


FAILURE = {"kind": "Status", "status": "Failure", "message": "too old", "reason": "Expired", "code": 410}
PAGE = {
    "metadata": {"resourceVersion": "7", "continue": "more"},
    "items": [an_object(), going("uid-2"), ended("uid-3")],
}
PODS = [json.dumps(whole) for whole in (an_object(), going(), ended())]
OTHERS = [json.dumps(whole) for whole in (PAGE, FAILURE, {"type": "BOOKMARK", "object": {"metadata": {}}})]


def decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """What the decoder says, or None."""
    try:
        return decode(body)
    except KubernetesError as error:
        if not 0 < len(str(error)) < 250:
            raise AssertionError(f"a long story: {error}") from error
        return None


def understood(draw: Draw) -> str:
    body = draw.document(draw.choice(PODS if draw.maybe(0.8) else OTHERS))
    for decode in (decode_event, decode_bookmark, decode_failure, decode_list_version, decode_listed_node, decode_node):
        decoded(decode, body)
    page, pod = decoded(decode_page, body), decoded(decode_pod, body)
    listed = [decoded(decode_listed_pod, bytes(item)) for item in (page.items if page else ())]
    found: list[Pod] = [*(one for one in listed if one), *(pod[:1] if pod else ())]
    tracker = Tracker()
    for one in found[:1]:
        tracker.changed(one, at(0))
    tracker.listed("", found, at(1))
    for one in found[:1]:
        tracker.removed(one, at(2))
    became = [drained(due.pod, due.cause, tracker) for due in tracker.due()]
    return became[0] if became else "left alone" if found else "no pod"


def drained(pod: Pod, cause: Any, tracker: Tracker) -> str:
    decisions = make_commands(pod, cause, at(0), ROUTING, tracker.sharing(pod))
    for decision in decisions:
        if isinstance(decision, Publish):
            assert is_region_name(decision.command.region)
            if is_credible(pod):
                assert encode_item(decision.command)
                assert encode_entry(make_event(decision.command, Outcome.requested, at(0)))
        else:
            assert decision.reason.detail
            refused = make_event(decision.command, Outcome.refused, at(0), reason=decision.reason)
            assert is_credible(pod) is False or encode_entry(refused)
    return type(decisions[0]).__name__ if decisions else "switched off"


def is_credible(pod: Pod) -> bool:
    """Within what an API server admits: the wire has bounds, too."""
    short = (pod.namespace, pod.name, pod.ip, pod.hostname, pod.subdomain, pod.node, pod.phase, pod.app_label)
    return (
        all(len(text) <= 253 for text in (*short, *pod.ips, *pod.host_ips, pod.disruption))
        and len(pod.uid) <= 36
        and all(0 < port < 65_536 for port in pod.ports)
        and 0 <= pod.grace_seconds < 2**63
    )


def test_every_answer_is_a_pod_or_a_kubernetes_error() -> None:
    tally = fuzz("objects", understood)
    for became in ("no pod", "left alone", "Publish"):
        assert tally[became] > 200 // SHARE, tally


LINES = 40
"""In one watch."""


class Api:
    """In place of the connection to the API server."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self.left = [self._line() for _ in range(LINES)]
        self.left.append(json.dumps({"type": "MODIFIED", "object": going("the-last")}).encode())

    def _line(self) -> bytes:
        draw = self._draw
        whole = draw.choice((an_object, going, ended))(f"uid-{draw.randint(0, 5)}")
        event = {"type": draw.choice(("ADDED", "MODIFIED", "DELETED")), "object": whole}
        kind = draw.random()
        if kind < 0.05:
            event = {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "99"}}}
        elif kind < 0.1:
            event = {"type": "ERROR", "object": FAILURE}
        return draw.document(json.dumps(event), untouched=0.3)

    async def get(
        self, path: str, query: dict[str, str], *, read_timeout: float = 30.0, most: int = 0, closes: bool = False
    ) -> bytes:
        if path != "/api/v1/pods":
            return self._draw.document(PODS[0], untouched=0.5)
        if "continue" in query:
            return json.dumps({"metadata": {"resourceVersion": "8"}, "items": []}).encode()
        return self._draw.document(json.dumps(PAGE), untouched=0.5)

    async def lines(self, path: str, query: dict[str, str], *, read_timeout: float) -> AsyncIterator[bytes]:
        while self.left:
            yield self.left.pop(0)
        await asyncio.Event().wait()


async def watched(draw: Draw) -> str:
    api = Api(draw)
    settings = Settings(label_selector="app" if draw.maybe(0.3) else "")
    outbox = RecordedOutbox()
    parts = build_watch(
        feeds=[KubePodFeed(api, settings, clock=virtual_clock)],  # type: ignore[arg-type]
        outbox=outbox,
        routing=ROUTING,
        clock=virtual_clock,
        observer=FakeObserver(),
        priority=PriorityGate(),
        ledger=Ledger(),
        log=FakeLog(),
        positions_log=FakeLog(),
    )
    running = asyncio.create_task(parts.run())
    try:
        for _ in range(10_000):
            await asyncio.sleep(1)
            assert not running.done(), running.exception()
            if any(b"the-last" in one.message.body for one in outbox.at(names.COMMANDS)):
                return "drained"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    raise AssertionError("the last pod, which is as it should be, was not drained")


def test_a_watch_survives_every_line_and_drains_the_pod_after_it() -> None:
    @in_virtual_time
    async def record() -> None:
        await fuzz_async("watches", watched)

    with every_log_a_line():
        record()
