"""Quick caches and the pod's uid on the real API server: which containers get them, and what stays as it is."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.manifests.conftest import RESTRICTED
from tests.manifests.enforcing import Enforce
from tests.manifests.policed_pods import a_container, a_pod, a_spec, made
from tests.manifests.rendering import MANIFESTS, Object
from tests.manifests.sidecars import adding
from tests.stack.cluster import Cluster
from tests.stack.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = MANIFESTS / "components" / "eureka-clients" / "policy.yaml"
ENABLED = {"eureka.drain/clients": "enabled"}
FETCH, BALANCER = "eureka.drain/client-fetch", "eureka.drain/load-balancer"

UID, NAME, NAMESPACE = (f"EUREKA_INSTANCE_METADATAMAP_{what}" for what in ("PODUID", "PODNAME", "PODNAMESPACE"))
FETCHED, BALANCED = "EUREKA_CLIENT_REGISTRYFETCHINTERVALSECONDS", "SPRING_CLOUD_LOADBALANCER_CACHE_TTL"
RIBBON = "RIBBON_SERVERLISTREFRESHINTERVAL"
WHO = {UID: "metadata.uid", NAME: "metadata.name", NAMESPACE: "metadata.namespace"}


USUAL = {FETCH: 5, BALANCER: 1}
"""Seconds that are given where nobody says otherwise."""


def added(fetch: int = USUAL[FETCH], balancer: int = USUAL[BALANCER], *, but: Sequence[str] = ()) -> dict[str, str]:
    """What a container gets that has none of it but what is named."""
    every = {FETCHED: f"{fetch}", BALANCED: f"{balancer}s", RIBBON: f"{balancer}000", **WHO}
    return {name: value for name, value in every.items() if name not in but}


def variables(container: Object) -> dict[str, str]:
    """Its environment: values, or which of the pod's fields they are."""
    every = container.get("env") or []
    assert len({one["name"] for one in every}) == len(every)
    return {one["name"]: one.get("value") or one["valueFrom"]["fieldRef"]["fieldPath"] for one in every}


def looks(pod: Object) -> dict[str, dict[str, str]]:
    """The environment of each container."""
    return {one["name"]: variables(one) for one in pod["spec"]["containers"]}


def env(**values: str) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def policy(enforce: Enforce, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """The component, but that its errors are told: one that is ignored does nothing, and says nothing."""
    told = POLICY.read_text(encoding="utf-8").replace("failurePolicy: Ignore", "failurePolicy: Fail")
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(told, encoding="utf-8")
    async with enforce(file):
        yield


async def test_a_policy_that_fails_stands_in_no_pods_way() -> None:
    assert POLICY.read_text(encoding="utf-8").count("failurePolicy: Ignore") == 1


@asynccontextmanager
async def a_namespace(
    cluster: Cluster, *, labels: Mapping[str, str] = ENABLED, notes: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """One where the policy is in force, if its labels say so."""
    name = f"clients-{secrets.token_hex(4)}"
    metadata = {"name": name, "labels": {**RESTRICTED, **labels}, "annotations": dict(notes or {})}
    await cluster.client.create("namespaces", {"metadata": metadata}, None)
    try:
        if ENABLED.items() <= labels.items():

            async def is_in_force() -> bool:
                return UID in looks(await made(cluster, name, a_pod()))["main"]

            await until(is_in_force, "the policy in force", timeout=60)
        yield name
    finally:
        await cluster.client.delete("namespaces", name, None)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(cluster: Cluster, policy: None) -> AsyncIterator[str]:
    """It says nothing of caches, and enforces `restricted`."""
    async with a_namespace(cluster) as name:
        yield name


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pod, and the environment of its containers."""

    spec: Object = field(default_factory=a_spec)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: dict[str, dict[str, str]]


CASES = {
    "no variable": Case(env={"main": added()}),
    "an empty list": Case(spec=a_spec(a_container(env=[])), env={"main": added()}),
    "other variables": Case(
        spec=a_spec(a_container(env=env(JAVA_OPTS="-Xmx1g", LAST="$(JAVA_OPTS)"))),
        env={"main": {"JAVA_OPTS": "-Xmx1g", "LAST": "$(JAVA_OPTS)"} | added()},
    ),
    "its own interval": Case(
        spec=a_spec(a_container(env=env(**{FETCHED: "30"}))), env={"main": {FETCHED: "30"} | added(but=[FETCHED])}
    ),
    "its own interval, spelt as of old": Case(
        spec=a_spec(a_container(env=env(EUREKA_CLIENT_REGISTRY_FETCH_INTERVAL_SECONDS="30"))),
        env={"main": {"EUREKA_CLIENT_REGISTRY_FETCH_INTERVAL_SECONDS": "30"} | added(but=[FETCHED])},
    ),
    "its own properties, spelt as such": Case(
        spec=a_spec(
            a_container(
                env=[
                    {"name": "eureka.client.registry-fetch-interval-seconds", "value": "9"},
                    {"name": "spring.cloud.loadbalancer.cache.ttl", "value": "9s"},
                    {"name": "ribbon.ServerListRefreshInterval", "value": "9000"},
                    {"name": "eureka.instance.metadata-map.pod-uid", "value": "mine"},
                ]
            )
        ),
        env={
            "main": {
                "eureka.client.registry-fetch-interval-seconds": "9",
                "spring.cloud.loadbalancer.cache.ttl": "9s",
                "ribbon.ServerListRefreshInterval": "9000",
                "eureka.instance.metadata-map.pod-uid": "mine",
                NAME: WHO[NAME],
                NAMESPACE: WHO[NAMESPACE],
            }
        },
    ),
    "what a ConfigMap gives is not seen": Case(
        spec=a_spec(a_container(envFrom=[{"configMapRef": {"name": "orders"}}])), env={"main": added()}
    ),
    "two containers": Case(
        spec=a_spec(a_container("b", env=env(A="1")), a_container("a")), env={"b": {"A": "1"} | added(), "a": added()}
    ),
    "twenty-one containers": Case(
        spec=a_spec(*(a_container(f"c{number}") for number in range(21))),
        env={f"c{number}": added() if number < 20 else {} for number in range(21)},
    ),
    "init containers": Case(
        spec=a_spec(initContainers=[a_container("first"), a_container("proxy", restartPolicy="Always")]),
        env={"main": added()},
    ),
    "work that completes": Case(spec=a_spec(restartPolicy="Never"), env={"main": added()}),
    "not drained, and yet a caller": Case(annotations={"eureka.drain/enabled": "false"}, env={"main": added()}),
    "static": Case(
        spec=a_spec(nodeName="node-1"), annotations={"kubernetes.io/config.mirror": "a-hash"}, env={"main": {}}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_each_container_gets_what_it_does_not_say_and_nothing_else_changes(
    cluster: Cluster, shop: str, case: Case
) -> None:
    body = a_pod(case.spec, case.annotations)
    pod = await made(cluster, shop, body)
    assert looks(pod) == case.env
    assert without_env(pod) == without_env(await made(cluster, "default", body))


def without_env(pod: Object) -> Object:
    """What the policy has no business with."""
    containers = [{key: value for key, value in one.items() if key != "env"} for one in pod["spec"]["containers"]]
    return {
        "annotations": pod["metadata"].get("annotations", {}),
        "spec": pod["spec"] | {"containers": containers},
        "status": pod["status"],
    }


SECONDS = {
    "5s": 5,
    " 20s ": 20,
    "1.9s": 1,
    "1500ms": 1,
    "2m": 120,
    "0.25h": 900,
}
"""Ages that can be followed, and the whole seconds that they give."""
NOT_FOLLOWED = ["", "5", "5 s", "-5s", "0s", "999ms", "15.1m", "1h", "0.001d", "off", "1d", "soon"]


@pytest.mark.parametrize("what", [FETCH, BALANCER])
async def test_a_namespace_says_how_old_its_caches_may_be(cluster: Cluster, what: str) -> None:
    expected = SECONDS | dict.fromkeys(NOT_FOLLOWED, USUAL[what])
    given: dict[str, Any] = {}
    async with a_namespace(cluster) as name:
        for text, seconds in expected.items():
            note = f"{what}={text}"
            await cluster.kubectl("annotate", "namespace", name, "--overwrite", note)
            wanted = added(fetch=seconds) if what == FETCH else added(balancer=seconds)

            async def as_wanted(wanted: Mapping[str, str] = wanted) -> bool:
                given["last"] = looks(await made(cluster, name, a_pod()))["main"]
                return bool(given["last"] == wanted)

            await until(as_wanted, f"{note}: {wanted}", timeout=20)


@pytest.mark.parametrize("labels", [{}, {"eureka.drain/clients": "disabled"}, {"eureka.drain/window": "enabled"}])
async def test_nothing_changes_in_a_namespace_that_has_not_opted_in(
    cluster: Cluster, shop: str, labels: Mapping[str, str]
) -> None:
    async with a_namespace(cluster, labels=labels, notes={FETCH: "5s"}) as name:
        assert looks(await made(cluster, name, a_pod())) == {"main": {}}


async def test_a_webhooks_sidecar_gets_the_same_and_nothing_is_added_twice(cluster: Cluster, tmp_path: Path) -> None:
    async with a_namespace(cluster) as name, adding(cluster, name, a_container("sidecar"), tmp_path):

        async def with_sidecar() -> Object | None:
            pod = await made(cluster, name, a_pod())
            return pod if len(pod["spec"]["containers"]) == 2 else None

        pod = await until(with_sidecar, "the webhook in force")
        assert looks(pod) == {"main": added(), "sidecar": added()}
