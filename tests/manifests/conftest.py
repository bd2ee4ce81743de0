"""Everything here is rendered by kubectl; some of it is applied to the real API server."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.manifests import demo_eureka
from tests.manifests.applying import kubectl as run_kubectl
from tests.manifests.applying import may
from tests.manifests.enforcing import ENGINES, Enforce
from tests.manifests.rendering import MANIFESTS, Object, write_overlay
from tests.manifests.topology_operator import PLURALS, topology_operator_crds
from tests.stack.cluster import Cluster
from tests.stack.definitions import KYVERNO, PROMETHEUS_OPERATOR
from tests.stack.eureka_nodes import EurekaNode
from tests.stack.parts import kube_score as built_kube_score
from tests.stack.prerequisites import KUBECTL, ReportProgress, require
from tests.stack.waiting import until

Apply = Callable[..., Awaitable[str]]

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def kubectl(report_progress: ReportProgress) -> None:
    """It is there, or the error says what to do."""
    await require(KUBECTL, report_progress=report_progress)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kube_score(report_progress: ReportProgress) -> Path:
    """The program."""
    return await built_kube_score(report_progress) / "kube-score"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def crds(cluster: Cluster, report_progress: ReportProgress) -> None:
    """What the Prometheus operator, Kyverno and RabbitMQ's topology operator read is known to the API server."""
    for definitions in (PROMETHEUS_OPERATOR, KYVERNO):
        await cluster.kubectl("apply", "--server-side", "-f", str(await definitions.folder(report_progress)))
    words = ("apply", "--server-side", "-f", "-")
    status, _, output = await run_kubectl(cluster.kubeconfig, *words, reads=topology_operator_crds())
    assert status == 0, output
    where = [f"/apis/rabbitmq.com/v1beta1/namespaces/default/{plural}" for plural in PLURALS.values()]
    for one in (*where, "/apis/policies.kyverno.io/v1beta1/mutatingpolicies"):
        await until(partial(_is_served, cluster, one), f"{one} served")


@pytest.fixture(params=[*ENGINES.values()], ids=[*ENGINES], scope="module")
def enforce(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    report_progress: ReportProgress,
    tmp_path_factory: pytest.TempPathFactory,
) -> Enforce:
    """Puts a policy's file in force, by one engine after the other."""
    return lambda policy: request.param(cluster, policy, tmp_path_factory.mktemp("engine"), report_progress)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def demo_nodes(
    report_progress: ReportProgress, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[EurekaNode]]:
    """The demo's two Eureka nodes, real ones."""
    async with demo_eureka.running(report_progress, tmp_path_factory.mktemp("eureka")) as nodes:
        yield nodes


@pytest_asyncio.fixture(loop_scope="session")
async def apply(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Apply]:
    """Applies an overlay, with further components, as a person would; gives its namespace.

    Neither an error nor a warning is let pass. The pods of ours are made, and never run.
    """
    applied: list[tuple[Path, list[str]]] = []

    async def apply(name: str, *components: str) -> str:
        overlay = MANIFESTS / "overlays" / name
        moved = name != "namespaced"  # what is in two namespaces cannot be moved to one
        namespace = f"drain-{secrets.token_hex(4)}" if moved else "eureka-drain"
        patches = [
            _gate("Deployment|StatefulSet", "/spec/template/spec"),
            _gate("CronJob", "/spec/jobTemplate/spec/template/spec"),
        ]
        fields = {"patches": patches} | ({"namespace": namespace} if moved else {})
        folder = write_overlay(tmp_path / name, overlay, components=components, **fields)
        made = [] if moved else [namespace, "shop"]
        for one in made:
            await until(partial(_is_gone, cluster, one), f"{one} of an earlier test gone")
            await cluster.client.create("namespaces", {"metadata": {"name": one, "labels": RESTRICTED}}, None)
        applied.append((folder, made))
        status, _, output = await run_kubectl(cluster.kubeconfig, "apply", "--validate=strict", "-k", str(folder))
        assert (status, output) == (0, "")
        watch = f"system:serviceaccount:{namespace}:eureka-drain-watch"
        where = namespace if moved else "shop"
        # What is applied is in force a moment later.
        await until(partial(may, cluster, "list", "pods", user=watch, namespace=where), "the rights in force")
        return namespace

    yield apply
    for folder, made in applied:
        await run_kubectl(cluster.kubeconfig, "delete", "--wait=false", "--ignore-not-found", "-k", str(folder))
        for one in made:
            await cluster.client.delete("namespaces", one, None)


async def _is_served(cluster: Cluster, where: str) -> bool:
    status, _, _ = await run_kubectl(cluster.kubeconfig, "get", "--raw", where)
    return status == 0


async def _is_gone(cluster: Cluster, namespace: str) -> bool:
    return await cluster.client.get("namespaces", namespace, None) is None


def _gate(kind: str, pod: str) -> Object:
    """No node may take such a pod: there is no image to run."""
    patch = [{"op": "add", "path": f"{pod}/schedulingGates", "value": [{"name": "tests/never-run"}]}]
    return {"target": {"kind": kind}, "patch": json.dumps(patch)}
