"""Shutdown verdicts on the real servers: in Kubernetes, in the metrics, at the terminal, in the API, and live."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.operator import Operator
from tests.e2e.product import Product, product
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import ready_pods, shown_everywhere
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.stack.workloads import deployment, pod_spec, python_service

VIEWER = "viewer-" + secrets.token_hex(16)
SETTINGS = {
    "ops.viewer_token": VIEWER,
    "instance_id_templates": "{ip}:{app}:{port}",
    "window.server_cache": "5s",
    "window.client_fetch": "5s",
    "window.load_balancer": "10s",
}
WINDOW, HOOK = 20, 25
"""Seconds: enough for a look at it while it is open."""


async def start_service(
    cluster: Cluster, eureka: EurekaNodes, namespace: str, name: str, *, replicas: int, hook: int | None
) -> list[str]:
    """A Deployment whose pods are registered everywhere; their names."""
    lifecycle = None if hook is None else {"preStop": {"sleep": {"seconds": hook}}}
    service = python_service(name, eureka.urls, renewal_seconds=1, lifecycle=lifecycle)
    annotations = {"eureka.drain/app": name, "eureka.drain/port": "8080"}
    body = deployment(name, pod_spec(service), replicas=replicas, annotations=annotations)
    await cluster.client.create("deployments", body, namespace)
    pods = await ready_pods(cluster, namespace, name, replicas)
    for one in pods:
        await shown_everywhere(eureka, name, f"{one['status']['podIP']}:{name}:8080", "UP")
    return [str(one["metadata"]["name"]) for one in pods]


async def api(process: ControllerProcess, path: str) -> Any:
    """What the API says."""
    headers = {"Authorization": f"Bearer {VIEWER}"}
    async with aiohttp.ClientSession() as session, session.get(process.url + path, headers=headers) as answer:
        assert answer.status == 200, path
        return await answer.json()


@asynccontextmanager
async def listening(process: ControllerProcess) -> AsyncIterator[list[dict[str, Any]]]:
    """The pods' ends that are reported live."""
    heard: list[dict[str, Any]] = []
    connected = asyncio.Event()

    async def listen() -> None:
        headers = {"Authorization": f"Bearer {VIEWER}"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.get(f"{process.url}/api/v1/events?ends=1", headers=headers) as answer,
        ):
            connected.set()
            kind = ""
            async for line in answer.content:
                text = line.decode().rstrip("\n")
                kind = text.removeprefix("event: ") if text.startswith("event: ") else kind
                if text.startswith("data: ") and kind == "end":
                    heard.append(json.loads(text.removeprefix("data: ")))

    task = asyncio.create_task(listen())
    try:
        await asyncio.wait_for(connected.wait(), 10)
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def counted(process: ControllerProcess, workload: str) -> dict[tuple[str, str], float]:
    """How many pods of this workload left in which way, and why."""
    families = text_string_to_metric_families(await process.metrics())
    return {
        (one.labels["verdict"], one.labels["reason"]): one.value
        for family in families
        for one in family.samples
        if one.name == "eureka_drain_shutdowns_total" and one.labels["workload"] == workload
    }


async def judged(running: Product, key: str) -> dict[str, Any]:
    """The pod's only drain, once it has a shutdown verdict."""

    async def look() -> dict[str, Any] | None:
        found: list[dict[str, Any]] = (await api(running.processes[0], f"/api/v1/drains?pod={key}"))["drains"]
        return found[0] if found and found[0]["shutdown"] != "pending" else None

    found: dict[str, Any] = await until(look, f"the verdict on {key}", timeout=90)
    return found


async def test_an_early_end_is_shown_everywhere_with_what_was_missing_and_why(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str
) -> None:
    [bare] = await start_service(cluster, eureka_pair, namespace, "bare", replicas=1, hook=None)
    polite, hurried = await start_service(cluster, eureka_pair, namespace, "polite", replicas=2, hook=HOOK)
    expected = {
        bare: ("bare", "no_hook", "it has no preStop hook"),
        hurried: ("polite", "grace", "it was deleted with a grace period of 1 s instead of its 30 s"),
        polite: ("polite", "", ""),
    }
    async with product(tmp_path, cluster, broker, eureka_pair, namespace, settings=SETTINGS) as running:
        process = running.processes[0]
        operator = Operator(cluster, broker, {running.region: eureka_pair.urls}, {"watch.cluster": running.region})
        async with listening(process) as heard:
            await cluster.client.delete("pods", bare, namespace)
            await cluster.client.delete("pods", hurried, namespace, grace_seconds=1)
            await cluster.client.delete("pods", polite, namespace)
            await running.log.wait_for(polite, "out_of_service")
            waiting = (await api(process, f"/api/v1/drains?pod={namespace}/{polite}"))["drains"][0]
            assert (waiting["shutdown"], waiting["shutdown_text"]) == ("pending", "")
            assert waiting["safe_after"] == waiting["safe_at"]
            said = await operator.run("drains", "--pod", f"{namespace}/{polite}")
            assert f"safe after {waiting['safe_at'][11:19]}Z" in said.row(polite)

            for name, (service, _, why) in expected.items():
                drain = await judged(running, f"{namespace}/{name}")
                assert drain["workload"] == f"Deployment/{service}"
                assert drain["shutdown_reason"] == why
                if why:
                    # Its end is cut off to the second, and may have come as late as its hook or its grace let it.
                    assert WINDOW - 4 <= drain["short_seconds"] <= WINDOW + 3
                    assert drain["shutdown_text"] == f"not graceful, {drain['short_seconds']} s short"
                else:
                    assert (drain["shutdown_text"], drain["short_seconds"]) == ("graceful", None)
                await shown_at_the_terminal(operator, drain, why)
                await shown_in_kubernetes(cluster, namespace, name, drain["shutdown_text"], why)
            ids = {(await judged(running, f"{namespace}/{name}"))["drain_id"] for name in expected}
            assert ids <= {drain_id for end in heard for drain_id in end["drain_ids"]}
            await shown_as_rollouts(running, operator, namespace, {"bare": [bare], "polite": [polite, hurried]})
        assert await counted(process, f"{namespace}/deployment/bare") == {("not_graceful", "no_hook"): 1}
        assert await counted(process, f"{namespace}/deployment/polite") == {
            ("not_graceful", "grace"): 1,
            ("graceful", ""): 1,
        }


async def shown_as_rollouts(running: Product, operator: Operator, namespace: str, pods: dict[str, list[str]]) -> None:
    """Each workload's pods together, at the terminal and in the API, with the same numbers."""
    found = (await api(running.processes[0], f"/api/v1/rollouts?namespace={namespace}"))["rollouts"]
    rollouts = {one["workload"]: one for one in found}
    assert {name: {pod["pod"] for pod in one["pods"]} for name, one in rollouts.items()} == {
        name: set(names) for name, names in pods.items()
    }
    assert (rollouts["bare"]["graceful"], rollouts["bare"]["not_graceful"]) == (0, 1)
    assert (rollouts["polite"]["graceful"], rollouts["polite"]["not_graceful"]) == (1, 1)
    for name, one in rollouts.items():
        assert (one["kind"], one["pending"]) == ("Deployment", 0)
        assert all(pod.startswith(f"{name}-{one['revision']}-") for pod in pods[name])
    said = await operator.run("rollouts", "--namespace", namespace, "-o", "json")
    assert {one["workload"]: one["longest_short_seconds"] for one in said.objects} == {
        name: one["longest_short_seconds"] for name, one in rollouts.items()
    }
    text = (await operator.run("rollouts", "--namespace", namespace, "--app", "polite")).data
    assert f"{namespace}/deployment/polite revision {rollouts['polite']['revision']}: 2 pods in" in text
    assert "1 graceful, 1 not graceful" in text
    assert "bare" not in text


async def shown_at_the_terminal(operator: Operator, drain: dict[str, Any], why: str) -> None:
    """`drains` as a table and as JSON, and `show`."""
    key = f"{drain['namespace']}/{drain['pod']}"
    row = (await operator.run("drains", "--pod", key)).row(key)
    assert drain["shutdown_text"] in row
    assert why in row
    [reported] = (await operator.run("drains", "--pod", key, "-o", "json")).objects
    for field in ("shutdown", "shutdown_text", "short_seconds", "shutdown_reason", "safe_at", "ended_at", "workload"):
        assert reported[field] == drain[field]
    shown = (await operator.run("show", drain["drain_id"])).data
    verdict = f"{drain['shutdown_text']}: {why}" if why else drain["shutdown_text"]
    assert f"shutdown:  {verdict} (deployment {drain['workload'].partition('/')[2]})" in shown
    assert "ended serving" in shown


async def shown_in_kubernetes(cluster: Cluster, namespace: str, pod: str, verdict: str, why: str) -> None:
    """One Event, at the pod or at its ReplicaSet."""
    reason = "NotGraceful" if why else "Graceful"

    async def look() -> list[dict[str, Any]]:
        events = await cluster.client.list("events", namespace)
        return [
            one
            for one in events
            if one["reason"] == reason and pod in (one["involvedObject"]["name"], one["message"].split(":")[0][4:])
        ]

    [event] = await until(look, f"the notice of {pod}", timeout=30)
    assert event["type"] == ("Warning" if why else "Normal")
    reported = f"{verdict[0].upper()}{verdict[1:]}{f': {why}' if why else ''}. It ended at "
    assert event["message"].removeprefix(f"Pod {pod}: ").startswith(reported)
