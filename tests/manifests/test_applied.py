"""Every overlay on the real API server, in a namespace that enforces the Pod Security Standard `restricted`."""

from __future__ import annotations

from functools import partial

import pytest

from tests.manifests.conftest import Apply
from tests.manifests.rendering import COMPONENTS, OVERLAYS, Object, ours, overlay, workloads
from tests.stack.cluster import Cluster
from tests.stack.kube_client import KubeError
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("name", OVERLAYS)
async def test_it_is_taken_without_a_word_and_its_pods_are_let_in(cluster: Cluster, apply: Apply, name: str) -> None:
    namespace = await apply(name)
    labels = (await cluster.client.get("namespaces", namespace, None) or {})["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in workloads(overlay(name)):
        if workload.object["kind"] == "CronJob":
            await cluster.kubectl("-n", namespace, "create", "job", "now", f"--from=cronjob/{workload.name}")
            labels, many = "job-name=now", 1
        else:
            selector = workload.object["spec"]["selector"]["matchLabels"]
            labels = ",".join(f"{key}={value}" for key, value in selector.items())
            many = workload.object["spec"]["replicas"]
        await until(partial(_has_pods, cluster, namespace, labels, many), f"the pods of {workload.name}")


async def test_it_is_taken_with_every_component(cluster: Cluster, apply: Apply, crds: None) -> None:
    namespace = await apply(
        "one-cluster", *[name for name in COMPONENTS if name not in ("namespace", "priority", "topology-keeper")]
    )
    monitors = await cluster.client.list("/apis/monitoring.coreos.com/v1/podmonitors", namespace)
    rules = await cluster.client.list("/apis/monitoring.coreos.com/v1/prometheusrules", namespace)
    assert [one["metadata"]["name"] for one in monitors + rules] == ["eureka-drain", "eureka-drain"]
    policies = await cluster.client.list("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", None)
    assert "namespace" not in policies[0]["metadata"]


async def test_such_a_namespace_refuses_a_pod_that_is_less_strict(cluster: Cluster, apply: Apply) -> None:
    namespace = await apply("one-cluster")
    (watch,) = [one for one in ours(overlay("one-cluster")) if one.role == "watch"]
    for part in ("securityContext", "capabilities"):
        pod = _without(watch.pod, part)
        with pytest.raises(KubeError, match="violates PodSecurity"):
            await cluster.client.create("pods", {"metadata": {"name": "loose"}, "spec": pod}, namespace)


def _without(spec: Object, part: str) -> Object:
    (container,) = spec["containers"]
    context = {key: value for key, value in container["securityContext"].items() if key != part}
    containers = [container | {"securityContext": context}]
    return {key: value for key, value in spec.items() if key != part} | {"containers": containers}


async def _has_pods(cluster: Cluster, namespace: str, labels: str, many: int) -> bool:
    return len(await cluster.client.list("pods", namespace, labels=labels)) == many
