"""Kubernetes Events on a real API server: what ``kubectl describe`` shows, and where they are not allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from loguru import logger

from controller.app.watch_parts import build_watch
from controller.domain.events import Event, Outcome, make_event
from controller.domain.kubernetes_events import KubernetesEvent, addressed_to, drain_event
from controller.domain.ledger import Ledger
from controller.domain.pods import Owner, Pod
from controller.domain.routing import Routing
from controller.errors import KubernetesError
from controller.flows.ports import Recorded, RecordForbidden, Unrecordable
from controller.flows.priority import PriorityGate
from controller.kube.client import KubeApi
from controller.kube.event_recorder import KubeEventRecorder
from tests.contract.following import CountingApi, connected, feed_of
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker
from tests.stack.cluster import Cluster
from tests.stack.waiting import until
from tests.stack.workloads import container, deployment, pod, pod_spec
from tests.unit.building import a_command, a_pod, a_reason, a_target

IDLE = pod_spec(container(), grace_seconds=1)


@pytest_asyncio.fixture(loop_scope="session")
async def api(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountingApi]:
    """The product's connection, as admin."""
    async with connected(cluster.kubeconfig, monkeypatch) as opened:
        yield opened


def now() -> datetime:
    return datetime.now(UTC)


def about(namespace: str, name: str, uid: str, outcome: Outcome = Outcome.out_of_service, **facts: Any) -> Event:
    """What the log says of a pod's drain."""
    command = a_command(a_pod(uid, namespace=namespace, name=name), since_at=now())
    return replace(make_event(command, outcome, now(), target=a_target()), **facts)


def made_of(event: Event) -> KubernetesEvent:
    made = drain_event(event)
    assert made is not None
    return made


async def created(cluster: Cluster, namespace: str, name: str) -> str:
    """A pod's uid."""
    one = await cluster.client.create("pods", pod(name, IDLE), namespace)
    uid: str = one["metadata"]["uid"]
    return uid


async def events_of(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """Those that are ours."""
    found = await cluster.client.list("events", namespace)
    return [one for one in found if one.get("reportingComponent") == "eureka-drain"]


async def test_an_event_is_seen_by_whoever_describes_the_pod(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    uid = await created(cluster, namespace, "orders-0")
    recorder = KubeEventRecorder(api)
    assert await recorder.record(made_of(about(namespace, "orders-0", uid))) == Recorded()
    assert (
        await recorder.record(made_of(about(namespace, "orders-0", uid, Outcome.failed, reason=a_reason("denied"))))
        == Recorded()
    )
    shown = await cluster.kubectl("-n", namespace, "describe", "pod", "orders-0")
    [drained] = [line for line in shown.splitlines() if " Drained " in line]
    assert drained.split()[0] == "Normal"
    assert "eureka-drain" in drained
    assert "Out of service at every node of Eureka region eu" in drained
    [failed] = [line for line in shown.splitlines() if " DrainFailed " in line]
    assert failed.split()[0] == "Warning"
    assert failed.endswith(": denied")


async def test_recorded_twice_by_whichever_replica_it_is_there_once(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    uid = await created(cluster, namespace, "orders-0")
    one = made_of(about(namespace, "orders-0", uid))
    answers = await asyncio.gather(*(KubeEventRecorder(api).record(one) for _ in range(5)))
    assert set(answers) == {Recorded()}
    [event] = await events_of(cluster, namespace)
    assert event["metadata"]["name"] == one.name
    assert (event["count"], event["eventTime"]) == (1, None)
    assert event["firstTimestamp"] == event["lastTimestamp"] == one.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert event["reportingInstance"]


async def test_the_owner_of_a_pod_that_is_gone_shows_its_event(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    made = await cluster.client.create("deployments", deployment("orders", IDLE, replicas=1), namespace)

    async def replica_set() -> dict[str, Any] | None:
        return next(iter(await cluster.client.list("replicasets", namespace)), None)

    found = await until(replica_set, "the ReplicaSet")
    meta = found["metadata"]
    owner = Owner(api_version="apps/v1", kind="ReplicaSet", name=meta["name"], uid=meta["uid"])
    one = addressed_to(made_of(about(namespace, "orders-gone", "uid-of-the-gone")), owner)
    assert await KubeEventRecorder(api).record(one) == Recorded()
    shown = await cluster.kubectl("-n", namespace, "describe", "replicaset", owner.name)
    assert "Pod orders-gone: Out of service at every node of Eureka region eu" in shown
    await cluster.client.delete("deployments", made["metadata"]["name"], namespace)


@pytest.mark.parametrize(
    "facts",
    [
        {"reason": a_reason("\x1b[2J\x00\u202e{}" + "é" * 5_000)},
        {"pod": "../../" + "x" * 400},
        {"pod": "", "uid": ""},
        {"pod": "A\nB", "uid": "\ud800"},
        {"at": datetime(1, 1, 1, tzinfo=UTC)},
        {"at": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)},
    ],
    ids=["reason", "pod", "no pod", "unprintable", "long ago", "far away"],
)
async def test_hostile_words_are_taken_or_dropped_but_never_tried_for_ever(
    namespace: str, api: CountingApi, facts: dict[str, Any]
) -> None:
    event = replace(about(namespace, "orders-0", "uid-1", Outcome.refused), **facts)
    assert isinstance(await KubeEventRecorder(api).record(made_of(event)), Recorded | Unrecordable)


async def test_an_owner_with_the_longest_name_gets_its_event(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    longest = Owner(api_version="x" * 253, kind="K" * 253, name="n" * 253, uid="u" * 253)
    one = addressed_to(made_of(about(namespace, "orders-0", "uid-1")), longest)
    assert isinstance(await KubeEventRecorder(api).record(one), Recorded | Unrecordable)


async def test_where_the_namespace_is_gone_or_going_nothing_can_be_recorded(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    recorder = KubeEventRecorder(api)
    gone = f"{namespace}-gone"
    answer = await recorder.record(made_of(about(gone, "orders-0", "uid-1")))
    assert isinstance(answer, Unrecordable)
    held = {"metadata": {"name": gone}, "spec": {"finalizers": ["kubernetes"]}}
    await cluster.client.create("namespaces", held, None)
    keeper = {"metadata": {"name": "keeper", "finalizers": ["stack.test/hold"]}}
    await cluster.client.create("configmaps", keeper, gone)
    await cluster.client.delete("namespaces", gone, None)
    try:
        answer = await recorder.record(made_of(about(gone, "orders-0", "uid-1")))
        assert isinstance(answer, Unrecordable)
        assert "being terminated" in answer.why
    finally:
        nothing = {"metadata": {"finalizers": None}}
        await cluster.client.patch("configmaps", "keeper", nothing, gone)


async def test_an_api_server_that_does_not_answer_is_an_error_to_try_again(
    cluster: Cluster, namespace: str, api: CountingApi
) -> None:
    recorder = KubeEventRecorder(api)
    await cluster.api.apiserver.stop()
    try:
        with pytest.raises(KubernetesError, match="cannot be reached"):
            await recorder.record(made_of(about(namespace, "orders-0", "uid-1")))
    finally:
        await cluster.api.apiserver.start()
    assert await recorder.record(made_of(about(namespace, "orders-0", "uid-1"))) == Recorded()


@contextmanager
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    try:
        yield lines
    finally:
        logger.remove(sink)


@asynccontextmanager
async def watched(api: KubeApi, namespace: str) -> AsyncIterator[FakeBroker]:
    """A watch of a real namespace, with a broker in memory."""
    broker = FakeBroker()
    parts = build_watch(
        feeds=[feed_of(api, namespaces=[namespace])],
        outbox=broker,
        routing=Routing(cluster="test", known=("eu",), default=("eu",), namespaces={}),
        clock=now,
        observer=FakeObserver(),
        priority=PriorityGate(),
        ledger=Ledger("test"),
        log=FakeLog(),
        positions_log=FakeLog(),
        event_recorder=KubeEventRecorder(api),
    )
    assert parts.pod_events is not None
    broker.readers.append(parts.pod_events.apply)
    running = asyncio.create_task(parts.run())
    try:
        await until(lambda: parts.watch.ready, "the first list")
        yield broker
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_without_the_permission_one_warning_says_how_to_grant_it(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.client.create("serviceaccounts", {"metadata": {"name": "watcher"}}, namespace)
    role = ("create", "role", "watches", "--verb=get,list,watch", "--resource=pods")
    await cluster.kubectl("-n", namespace, *role)
    account = f"--serviceaccount={namespace}:watcher"
    await cluster.kubectl("-n", namespace, "create", "rolebinding", "watches", "--role=watches", account)
    kubeconfig = await cluster.api.service_account_kubeconfig("watcher", namespace)
    uids = {name: await created(cluster, namespace, name) for name in ("first", "second")}
    await until(lambda: _have_addresses(cluster, namespace), "their addresses")
    with warnings() as lines:
        async with connected(kubeconfig, monkeypatch) as api:
            one = made_of(about(namespace, "first", uids["first"]))
            assert isinstance(await KubeEventRecorder(api).record(one), RecordForbidden)
            async with watched(api, namespace) as broker:
                for name, uid in uids.items():
                    await cluster.client.delete("pods", name, namespace)
                    await until(partial(_is_sent, broker, name), f"{name} sent")
                    await broker.record(about(namespace, name, uid))
                    await asyncio.sleep(1.5)
    [complaint] = [line for line in lines if "events" in line]
    assert "create" in complaint
    assert await events_of(cluster, namespace) == []


async def test_the_permission_to_create_events_is_all_that_it_needs(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.client.create("serviceaccounts", {"metadata": {"name": "recorder"}}, namespace)
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
    await cluster.client.create("roles", {"metadata": {"name": "records"}, "rules": rules}, namespace)
    account = f"--serviceaccount={namespace}:recorder"
    await cluster.kubectl("-n", namespace, "create", "rolebinding", "records", "--role=records", account)
    kubeconfig = await cluster.api.service_account_kubeconfig("recorder", namespace)
    spec = pod_spec(container(), grace_seconds=1)
    await cluster.client.create("deployments", deployment("orders", spec, replicas=1), namespace)

    async def running() -> dict[str, Any] | None:
        pods = await cluster.client.list("pods", namespace)
        return next((one for one in pods if one["status"].get("podIP")), None)

    meta = (await until(running, "the pod", timeout=120))["metadata"]
    with warnings() as lines:
        async with connected(kubeconfig, monkeypatch) as api, watched(api, namespace) as broker:
            event = about(namespace, meta["name"], meta["uid"])
            await broker.record(event)
            [made] = await until(lambda: events_of(cluster, namespace), "the Event at the pod")
            assert (made["involvedObject"]["kind"], made["involvedObject"]["uid"]) == ("Pod", meta["uid"])
            await cluster.client.delete("pods", meta["name"], namespace, grace_seconds=0)
            requested = await broker.recorded(Outcome.requested)
            assert isinstance(requested.facts, Pod)
            await broker.record(replace(event, event_id="f" * 32, outcome=Outcome.failed))
            both = await until(lambda: _at_least(cluster, namespace, 2), "the Event at the owner")
    [at_owner] = [one for one in both if one["reason"] == "DrainFailed"]
    assert at_owner["involvedObject"]["kind"] == "ReplicaSet"
    assert at_owner["message"].startswith(f"Pod {meta['name']}: ")
    assert [line for line in lines if "Event" in line] == []


def _is_sent(broker: FakeBroker, name: str) -> bool:
    return name in [command.pod.name for command in broker.sent]


async def _at_least(cluster: Cluster, namespace: str, count: int) -> list[dict[str, Any]] | None:
    found = await events_of(cluster, namespace)
    return found if len(found) >= count else None


async def _have_addresses(cluster: Cluster, namespace: str) -> bool:
    return all(one["status"].get("podIP") for one in await cluster.client.list("pods", namespace))
