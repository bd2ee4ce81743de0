"""The policy on the real API server: it denies what the code refuses, and nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from controller.bounds import MAX_VALUE_LENGTH
from controller.domain.annotations import (
    KNOWN,
    AnnotationError,
    annotated_regions,
    is_enabled,
    read_annotations,
)
from controller.domain.pods import ANNOTATION_PREFIX
from controller.kube.pod_decoder import decode_pod
from tests.manifests.applying import kubectl
from tests.manifests.rendering import MANIFESTS, Object
from tests.manifests.test_drain_window import FOLLOWED, NOT_FOLLOWED
from tests.stack.cluster import Cluster
from tests.stack.kube_client import KubeError, path
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = MANIFESTS / "components" / "annotations-policy" / "policy.yaml"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
FOLLOWED_OR_REFUSED = tuple(name for name in KNOWN if name != "window")
"""A window that cannot be followed counts as not said: no drain is refused for it."""
ENFORCED = {"eureka.drain/tests": "enforced"}
"""Namespaces where the tests have the policy deny: an answer is easier to read than a warning."""

VALUES = {
    "enabled": "true|false| False |TRUE||yes|0|truefalse",
    "app": "orders| orders |ORDERS|a b|ä|a%2Fb|...||  |.|..|a/b|a\\b|a\nb|a\x1fb|a\x7fb|a\x85b|a\x9fb|a\xa0b",
    "port": "1|8080| 8080 |65535|00080||0|00000|65536|99999|080801|-1|+1|1.0|http|８０８０|80 80",
    "region": "eu|eu,us| eu , us |eu,,us|,eu|*|*,eu|eu-west-1|1|| |,|EU|eu_west|-eu|eu-|eu us|eu,Us|**|eu;us|e.u",
    "retention": "0s|500ms|30s|5m|2h|30d|365d| 5m |1.5h|0.000001s|525600m||5|5 m|-5m|5M|5w|365.1d|366d|525601m|1.5"
    "|.5m|5.m|1.1234567s|1234567890s|∞",
    "instance-id": "orders-0| a:b:8080 |{ip}:{port}|{hostname}|{name}.{namespace}|a{b|a}b|{ip|{{ip}}|{{ip}{port}}"
    "|a%2Fb|| |.|..|a/b|{ip}/b|a\\b|a\tb|a\x80b|{app}|{}|{App}|{secret}|{{secret}}|{ip}{pod.uid}",
}
"""Good ones, and bad ones, with a stroke between."""
LONG: list[dict[str, str]] = [
    *({"app": "x" * length} for length in (512, 513)),
    *({"instance-id": "x" * length} for length in (512, 513)),
    *({"region": "x" * length} for length in (63, 64)),
    *({name: "1" * (MAX_VALUE_LENGTH + 1)} for name in FOLLOWED_OR_REFUSED),
]
TOGETHER: list[dict[str, str]] = [
    {},
    {"app": "orders", "instance-id": "{app}:{port}"},
    {"app": " ", "instance-id": "{app}"},
    {"port": "80", "instance-id": "{port}"},
    {"port": "nine", "instance-id": "{port}"},
    {"enabled": "false", "app": "orders", "region": "eu", "retention": "1m", "port": "80", "instance-id": "{ip}"},
]
CASES = [*({name: value} for name, text in VALUES.items() for value in text.split("|")), *LONG, *TOGETHER]
PORTS: list[list[int]] = [[8080], [], [8080, 9090]]


def a_pod(annotations: dict[str, str], ports: list[int] | None = None) -> Object:
    """A pod as a person writes it, in two containers if it has two ports."""
    containers: list[dict[str, Any]] = [
        {"name": f"c{number}", "image": "i", "ports": [{"containerPort": port}]}
        for number, port in enumerate(ports or ())
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "orders-0",
            "annotations": {ANNOTATION_PREFIX + name: value for name, value in annotations.items()},
        },
        "spec": {"containers": containers or [{"name": "c", "image": "i"}]},
    }


def refused_by_code(pod: Object) -> str:
    """Why the code cannot follow the annotations, once the pod runs; empty when it can."""
    metadata = pod["metadata"] | {"namespace": "shop", "uid": "u"}
    running = pod | {"metadata": metadata, "status": {"podIP": "10.1.0.7"}}
    decoded, _ = decode_pod(json.dumps(running).encode())
    try:
        is_enabled(decoded), annotated_regions(decoded), read_annotations(decoded)
    except AnnotationError as error:
        return str(error)
    return ""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def policy(cluster: Cluster) -> AsyncIterator[None]:
    """The component as it is, and a second binding that denies."""
    await cluster.kubectl("apply", "--validate=strict", "-f", str(POLICY))
    binding = {
        "metadata": {"name": "tests-deny"},
        "spec": {
            "policyName": "eureka-drain-annotations",
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": ENFORCED}},
        },
    }
    await cluster.client.create(BINDINGS, binding, None)
    yield
    await cluster.client.delete(BINDINGS, "tests-deny", None)
    await cluster.kubectl("delete", "-f", str(POLICY))


@pytest_asyncio.fixture(loop_scope="session")
async def enforced(cluster: Cluster, namespace: str, policy: None) -> str:
    """A namespace where a bad pod is denied by now."""
    await cluster.client.patch("namespaces", namespace, {"metadata": {"labels": ENFORCED}}, None)
    await until(lambda: _refusal(cluster, namespace, a_pod({"port": "nine"})), "the policy in force")
    return namespace


async def _refusal(cluster: Cluster, namespace: str, thing: Object, resource: str = "pods") -> str:
    """What the API server has against it; empty when it would take it."""
    try:
        await cluster.client.call("POST", path(resource, namespace), body=thing, params={"dryRun": "All"})
    except KubeError as error:
        if error.status != 422:
            raise
        return str(error)
    return ""


async def test_it_refuses_what_the_code_refuses_and_nothing_else(cluster: Cluster, enforced: str) -> None:
    differ = []
    verdicts = set()
    for ports in PORTS:
        for notes in CASES:
            pod = a_pod(notes, ports)
            code, server = refused_by_code(pod), await _refusal(cluster, enforced, pod)
            verdicts.add(bool(code))
            if bool(code) is not bool(server):
                differ.append((notes, ports, code, server))
    assert differ == []
    assert verdicts == {True, False}


async def test_it_knows_the_annotations_that_the_code_knows(cluster: Cluster, enforced: str) -> None:
    assert set(FOLLOWED_OR_REFUSED) == set(VALUES), "each has its cases above"
    for misspelt in ("regions", "Port"):
        output = await _refusal(cluster, enforced, a_pod({misspelt: "80"} | dict.fromkeys(KNOWN, "true")))
        assert f"no such annotation: eureka.drain/{misspelt}; known are {', '.join(KNOWN)}" in output


async def test_it_refuses_a_window_that_the_window_policy_does_not_follow(cluster: Cluster, enforced: str) -> None:
    for text in FOLLOWED:
        assert await _refusal(cluster, enforced, a_pod({"window": text})) == "", text
    for text in NOT_FOLLOWED:
        output = await _refusal(cluster, enforced, a_pod({"window": text}))
        assert "or a number and a unit, at most an hour: 20s, 1.5m" in output, text


async def test_other_annotations_are_nobodys_business(cluster: Cluster, enforced: str) -> None:
    pod = a_pod({})
    pod["metadata"]["annotations"] = {"example.com/port": "nine", "eureka.drain": "x", "port": "nine"}
    assert await _refusal(cluster, enforced, pod) == ""
    del pod["metadata"]["annotations"]
    assert await _refusal(cluster, enforced, pod) == ""


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
@pytest.mark.parametrize("value", ["8080", "nine"])
async def test_it_reads_the_template_of_every_workload(cluster: Cluster, enforced: str, kind: str, value: str) -> None:
    thing = a_workload(kind, {"port": value, "app": "orders"})
    resource = path(f"{kind.lower()}s") if kind != "CronJob" else "/apis/batch/v1/cronjobs"
    refusal = await _refusal(cluster, enforced, thing, resource)
    assert bool(refusal) is (value == "nine")
    assert not refusal or "eureka.drain/port is a port from 1 to 65535" in refusal


def a_workload(kind: str, annotations: dict[str, str]) -> Object:
    """As a person writes it."""
    pod = a_pod(annotations)
    labels = {"app": "orders"}
    template = {
        "metadata": {"annotations": pod["metadata"]["annotations"], "labels": labels},
        "spec": pod["spec"] | ({"restartPolicy": "Never"} if "Job" in kind else {}),
    }
    spec: Object = {"template": template}
    if kind == "CronJob":
        spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}
    elif kind != "Job":
        spec |= {"selector": {"matchLabels": labels}} | ({"serviceName": "orders"} if kind == "StatefulSet" else {})
    version = "batch/v1" if "Job" in kind else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "orders"}, "spec": spec}


async def test_it_warns_who_applies_and_stands_in_nobodys_way(cluster: Cluster, namespace: str, policy: None) -> None:
    bad = a_workload("Deployment", {"retention": "forever"})

    async def warned() -> str:
        words = ("-n", namespace, "apply", "--dry-run=server", "-f", "-")
        status, out, output = await kubectl(cluster.kubeconfig, *words, reads=bad)
        assert status == 0
        assert "created" in out
        return output

    output = await until(warned, "a warning")
    assert "Warning: Validation failed for ValidatingAdmissionPolicy 'eureka-drain-annotations'" in output
    assert "eureka.drain/retention is a number and a unit" in output


async def test_every_expression_fits_every_kind_that_it_is_asked_about(cluster: Cluster, policy: None) -> None:
    async def checked() -> Object | None:
        found = await cluster.client.get(
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", "eureka-drain-annotations", None
        )
        status: Object = (found or {}).get("status", {})
        return status if "observedGeneration" in status else None

    status = await until(checked, "the API server's own check")
    assert status.get("typeChecking", {}).get("expressionWarnings", []) == []
