"""How long pods serve, on a real API server: each printed fix corrects the finding it belongs to."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from controller.app.commands.windows import survey_pods
from controller.domain.shutdown.findings import WindowCoverage, WorkloadFinding
from controller.errors import KubernetesError
from controller.ops.shutdown_patches import patches_text
from controller.settings import Settings
from tests.contract.following import connected
from tests.stack.cluster import Cluster
from tests.stack.processes import output_of
from tests.stack.waiting import until
from tests.stack.workloads import container, deployment, job, pod, pod_spec, stateful_set

pytestmark = pytest.mark.asyncio(loop_scope="session")

CURL = ["sh", "-c", "curl -X PUT http://eureka/eureka/apps/A/B/status?value=OUT_OF_SERVICE; sleep 1"]


def a_spec(*pre_stops: Any, grace: int = 5) -> dict[str, Any]:
    containers = [
        container(name=f"main-{number}", lifecycle={"preStop": hook} if hook else None)
        for number, hook in enumerate(pre_stops)
    ]
    return pod_spec(*containers, grace_seconds=grace)


def daemon_set(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    found = deployment(name, spec)
    return {"metadata": found["metadata"], "spec": {key: found["spec"][key] for key in ("selector", "template")}}


@pytest_asyncio.fixture(loop_scope="session")
async def settings(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    """Of this test's namespace only, and as admin."""
    async with connected(cluster.kubeconfig, monkeypatch):
        yield Settings.model_validate({"watch": {"namespaces": [namespace]}})


async def found(settings: Settings) -> dict[str, WorkloadFinding]:
    looked = await survey_pods(settings)
    # The stand-in for a node has no kubelet that answers; until a pod is on it, none is asked.
    assert [doubt for doubt in looked.doubts if "node was not asked" not in doubt] == []
    return {f"{one.workload.kind}/{one.workload.name}": one for one in looked.findings}


async def test_a_namespace_without_pods_has_no_finding(settings: Settings) -> None:
    assert await found(settings) == {}


async def test_the_printed_patches_make_the_pods_serve_long_enough(
    cluster: Cluster, namespace: str, settings: Settings
) -> None:
    sleep = {"exec": {"command": ["sh", "-c", "sleep 1"]}}
    made = {
        "deployments": deployment("orders", a_spec(sleep, None), replicas=2),
        "statefulsets": stateful_set("stock", a_spec(None)),
        "daemonsets": daemon_set("agent", a_spec({"sleep": {"seconds": 1}}, {"tcpSocket": {"port": 80}})),
    }
    for kind, body in made.items():
        await cluster.client.create(kind, body, namespace)
    names = {"Deployment/orders", "StatefulSet/stock", "DaemonSet/agent"}

    async def all_are(verdict: WindowCoverage) -> bool:
        seen = await found(settings)
        return set(seen) == names and all(one.verdict is verdict for one in seen.values())

    await until(lambda: all_are(WindowCoverage.too_short), "every workload is too short", timeout=60)
    lines = [line for line in patches_text(await survey_pods(settings)).splitlines() if not line.startswith("#")]
    assert len(lines) == len(names)
    env = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
    for line in lines:
        assert "patched" in await output_of("sh", "-c", line, env=env, timeout=60)
    await until(lambda: all_are(WindowCoverage.enough), "every workload stays long enough", timeout=120)
    assert patches_text(await survey_pods(settings)) == ""


async def test_hooks_of_every_kind_are_found_as_the_api_server_keeps_them(
    cluster: Cluster, namespace: str, settings: Settings
) -> None:
    hooks: dict[str, Any] = {
        "none": None,
        "curl": {"exec": {"command": CURL}},
        "script": {"exec": {"command": ["/opt/stop.sh"]}},
        "get": {"httpGet": {"path": "/stop", "port": 8080}},
        "socket": {"tcpSocket": {"port": 8080}},
        "sleep": {"sleep": {"seconds": 95}},
    }
    for name, hook in hooks.items():
        await cluster.client.create("pods", pod(name, a_spec(hook, grace=130)), namespace)
    off = pod("off", a_spec(None), annotations={"eureka.drain/enabled": "false"})
    await cluster.client.create("pods", off, namespace)
    once = pod_spec(container("true"), restart_policy="Never")
    await cluster.client.create("jobs", job("once", once), namespace)

    async def are_listed() -> bool:
        return "Job/once" in await found(settings)

    await until(are_listed, "the Job has its pod", timeout=60)
    seen = await found(settings)
    verdicts = {name: one.verdict for name, one in seen.items()}
    assert verdicts == {
        "Pod/none": WindowCoverage.too_short,
        "Pod/curl": WindowCoverage.too_short,
        "Pod/script": WindowCoverage.not_judged,
        "Pod/get": WindowCoverage.not_judged,
        "Pod/socket": WindowCoverage.too_short,
        "Pod/sleep": WindowCoverage.enough,
        "Pod/off": WindowCoverage.left_out,
        "Job/once": WindowCoverage.left_out,
    }
    assert "itself" in seen["Pod/curl"].advice[0]
    assert seen["Pod/sleep"].grace_seconds == 130


async def test_without_the_right_to_list_pods_that_is_all_that_is_reported(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    await cluster.client.create("serviceaccounts", {"metadata": {"name": "nobody"}}, namespace)
    token = (await cluster.kubectl("create", "token", "nobody", "-n", namespace)).strip()
    admin = cluster.kubeconfig.read_text()
    file = tmp_path / "kubeconfig"
    file.write_text(admin)
    await output_of(
        *shlex.split(f"kubectl --kubeconfig {file} config set-credentials nobody --token={token}"), timeout=60
    )
    await output_of(*shlex.split(f"kubectl --kubeconfig {file} config set-context --current --user=nobody"), timeout=60)
    async with connected(file, monkeypatch):
        with pytest.raises(KubernetesError, match="403"):
            await survey_pods(Settings.model_validate({"watch": {"namespaces": [namespace]}}))
