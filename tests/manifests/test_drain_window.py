"""The window on the real API server: which pods get it, how long it is, and what it does not change."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from controller.app.commands.windows import survey_pods
from controller.domain.shutdown.findings import WindowCoverage
from controller.settings import Settings
from tests.contract.following import connected
from tests.manifests.conftest import RESTRICTED
from tests.manifests.enforcing import Enforce
from tests.manifests.policed_pods import a_container, a_pod, a_spec, made
from tests.manifests.rendering import MANIFESTS, Object
from tests.manifests.sidecars import adding
from tests.stack.cluster import Cluster
from tests.stack.waiting import until
from tests.stack.workloads import deployment, job

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = MANIFESTS / "components" / "drain-window" / "policy.yaml"
CLIENTS_POLICY = MANIFESTS / "components" / "eureka-clients" / "policy.yaml"
ENABLED = {"eureka.drain/window": "enabled"}
WINDOW = "eureka.drain/window"
ADDED = "window.eureka.drain/added"
QUICK_CLIENTS = {"eureka.drain/clients": "enabled"}
"""What eureka-clients goes by."""

USUAL = 95
"""Seconds, where nobody says another window."""
GRACE = 30
"""What a pod has that says nothing of it."""

FOLLOWED = {
    "20s": 20,
    " 20s ": 20,
    "1.5m": 90,
    "1h": 3600,
    "3600.0s": 3600,
    "1500ms": 2,
    "1ms": 1,
    "0.01d": 864,
    "0s": 0,
    "0ms": 0,
    "off": 0,
    " OFF": 0,
}
"""Windows that can be followed, and the seconds that they give."""
NOT_FOLLOWED = [
    "",
    " ",
    "20",
    "20 s",
    "-20s",
    "+20s",
    "20S",
    "2h",
    "3600.001s",
    "1d",
    "forever",
    "on",
    "enabled",
    "２０s",
]


def sleep(seconds: int) -> Object:
    return {"preStop": {"sleep": {"seconds": seconds}}}


def looks(pod: Object) -> tuple[dict[str, Any], int]:
    """What each container has in `lifecycle`, and the grace period."""
    spec = pod["spec"]
    return {one["name"]: one.get("lifecycle") for one in spec["containers"]}, spec["terminationGracePeriodSeconds"]


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def policy(enforce: Enforce) -> AsyncIterator[None]:
    """The component as it is."""
    async with enforce(POLICY):
        yield


@asynccontextmanager
async def a_namespace(
    cluster: Cluster,
    *,
    labels: Mapping[str, str],
    window: str | None = None,
    fetch: str | None = None,
    server: str | None = None,
) -> AsyncIterator[str]:
    """A new one: the API server looks such a one up, and reads it as it is. What it says are its annotations."""
    name = f"window-{secrets.token_hex(4)}"
    said = {WINDOW: window, "eureka.drain/client-fetch": fetch, "eureka.drain/server-cache": server}
    notes = {key: value for key, value in said.items() if value is not None}
    metadata = {"name": name, "labels": dict(labels), "annotations": notes}
    await cluster.client.create("namespaces", {"metadata": metadata}, None)
    try:
        yield name
    finally:
        for kind in ("deployments", "jobs", "replicasets"):
            for owner in await cluster.client.list(kind, name):
                await cluster.client.delete(kind, owner["metadata"]["name"], name)
        for pod in await cluster.client.list("pods", name):
            await cluster.client.delete("pods", pod["metadata"]["name"], name, grace_seconds=0)
        await cluster.client.delete("namespaces", name, None)


@asynccontextmanager
async def opted_in(
    cluster: Cluster, *, labels: Mapping[str, str] = RESTRICTED, **said: str | None
) -> AsyncIterator[str]:
    """A namespace where the policy is in force."""
    async with a_namespace(cluster, labels={**labels, **ENABLED}, **said) as name:

        async def is_in_force() -> bool:
            return ADDED in (await made(cluster, name, a_pod(annotations={WINDOW: "1s"})))["metadata"]["annotations"]

        await until(is_in_force, "the policy in force", timeout=60)
        yield name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(cluster: Cluster, policy: None) -> AsyncIterator[str]:
    """It says no window of its own, and enforces `restricted`."""
    async with opted_in(cluster) as name:
        yield name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stock(cluster: Cluster, policy: None) -> AsyncIterator[str]:
    """Its window is 45 s; any pod may run in it."""
    async with opted_in(cluster, window="45s", labels={}) as name:
        yield name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def namespaces(cluster: Cluster, shop: str, stock: str) -> AsyncIterator[dict[str, str]]:
    """By what the cases call them."""
    async with (
        opted_in(cluster, labels=QUICK_CLIENTS, fetch="7s") as quick,
        opted_in(cluster, labels=QUICK_CLIENTS, fetch="7s", server="500ms") as tuned,
        opted_in(cluster, labels=QUICK_CLIENTS, window="95s") as mixed,
    ):
        yield {"shop": shop, "stock": stock, "quick": quick, "tuned": tuned, "mixed": mixed}


NOTED = {"stock": 45, "quick": 40, "tuned": 11, "mixed": 95}
"""The seconds of a namespace's window, which is written down at the pod."""
OWN_HOOK = {"preStop": {"exec": {"command": ["sleep", "10"]}}}
STARTED = {"postStart": {"exec": {"command": ["true"]}}}
NATIVE = a_container("proxy", restartPolicy="Always")
STATIC = {"kubernetes.io/config.mirror": "a-hash"}
NEVER_RUN = [{"name": "tests/never-run"}]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pod, and what becomes of it; seconds. Its window is written down at it where its namespace says it."""

    spec: Object = field(default_factory=a_spec)
    annotations: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "shop"
    hooks: dict[str, Any]
    grace: int
    added: int = 0


CASES = {
    "no hook": Case(hooks={"main": sleep(95)}, grace=125, added=95),
    "its own grace": Case(
        spec=a_spec(terminationGracePeriodSeconds=60), hooks={"main": sleep(95)}, grace=155, added=95
    ),
    "no grace": Case(spec=a_spec(terminationGracePeriodSeconds=0), hooks={"main": sleep(95)}, grace=95, added=95),
    "a negative grace": Case(
        spec=a_spec(terminationGracePeriodSeconds=-1), hooks={"main": sleep(95)}, grace=96, added=95
    ),
    "a hook after its start": Case(
        spec=a_spec(a_container(lifecycle=STARTED)), hooks={"main": STARTED | sleep(95)}, grace=125, added=95
    ),
    "two containers": Case(
        spec=a_spec(a_container("b"), a_container("a")), hooks={"b": sleep(95), "a": sleep(95)}, grace=125, added=95
    ),
    "its own hook": Case(spec=a_spec(a_container(lifecycle=OWN_HOOK)), hooks={"main": OWN_HOOK}, grace=30),
    "its own hook in one of two": Case(
        spec=a_spec(a_container("a"), a_container("b", lifecycle=OWN_HOOK)),
        hooks={"a": None, "b": OWN_HOOK},
        grace=30,
    ),
    "its own sleep, as long as the window": Case(
        spec=a_spec(a_container("a"), a_container("b", lifecycle=sleep(95)), terminationGracePeriodSeconds=130),
        hooks={"a": None, "b": sleep(95)},
        grace=130,
    ),
    "its own sleep of 0": Case(
        spec=a_spec(a_container("a"), a_container("b", lifecycle=sleep(0))), hooks={"a": None, "b": sleep(0)}, grace=30
    ),
    "a native sidecar": Case(spec=a_spec(initContainers=[NATIVE]), hooks={"main": sleep(95)}, grace=125, added=95),
    "a native sidecar with a hook": Case(
        spec=a_spec(initContainers=[NATIVE | {"lifecycle": OWN_HOOK}]), hooks={"main": sleep(95)}, grace=125, added=95
    ),
    "on its node's network": Case(
        spec=a_spec(hostNetwork=True), namespace="stock", hooks={"main": sleep(45)}, grace=75, added=45
    ),
    "static": Case(spec=a_spec(nodeName="node-1"), annotations=STATIC, hooks={"main": None}, grace=30),
    "work that completes": Case(spec=a_spec(restartPolicy="Never"), hooks={"main": None}, grace=30),
    "work that is tried again": Case(spec=a_spec(restartPolicy="OnFailure"), hooks={"main": None}, grace=30),
    "a window of its own": Case(annotations={WINDOW: "20s"}, hooks={"main": sleep(20)}, grace=50, added=20),
    "its namespace's window": Case(namespace="stock", hooks={"main": sleep(45)}, grace=75, added=45),
    "its own window, and not its namespace's": Case(
        annotations={WINDOW: "20s"}, namespace="stock", hooks={"main": sleep(20)}, grace=50, added=20
    ),
    "quick callers": Case(namespace="quick", hooks={"main": sleep(40)}, grace=70, added=40),
    "quick callers, and nodes without a cache": Case(namespace="tuned", hooks={"main": sleep(11)}, grace=41, added=11),
    "a window of its own among quick callers": Case(
        annotations={WINDOW: "20s"}, namespace="quick", hooks={"main": sleep(20)}, grace=50, added=20
    ),
    "quick callers, and others": Case(namespace="mixed", hooks={"main": sleep(95)}, grace=125, added=95),
    "opted out": Case(annotations={WINDOW: "off"}, hooks={"main": None}, grace=30),
    "opted out of its namespace's": Case(
        annotations={WINDOW: "off"}, namespace="stock", hooks={"main": None}, grace=30
    ),
    "not drained": Case(annotations={"eureka.drain/enabled": " False "}, hooks={"main": None}, grace=30),
    "drained, and says so": Case(
        annotations={"eureka.drain/enabled": "true"}, hooks={"main": sleep(95)}, grace=125, added=95
    ),
    "a window of 0": Case(annotations={WINDOW: "0s"}, hooks={"main": None}, grace=30),
    "a window that cannot be followed": Case(
        annotations={WINDOW: "forever"}, hooks={"main": sleep(95)}, grace=125, added=95
    ),
    "a window that cannot be followed, and its namespace's": Case(
        annotations={WINDOW: "forever"}, namespace="stock", hooks={"main": sleep(45)}, grace=75, added=45
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_each_pod_gets_what_it_needs_and_nothing_else_changes(
    cluster: Cluster, namespaces: Mapping[str, str], case: Case
) -> None:
    body = a_pod(case.spec, case.annotations)
    pod = await made(cluster, namespaces[case.namespace], body)
    assert looks(pod) == (case.hooks, case.grace)
    assert pod["metadata"].get("annotations", {}).get(ADDED) == (f"{case.added}s" if case.added else None)
    noted = NOTED.get(case.namespace) == case.added
    expected = f"{case.added}s" if noted else case.annotations.get(WINDOW)
    assert pod["metadata"].get("annotations", {}).get(WINDOW) == expected
    assert without_window(pod) == without_window(await made(cluster, "default", body))


def without_window(pod: Object) -> Object:
    """What the policy has no business with; and not what is another one's at every creation."""
    all_notes = pod["metadata"].get("annotations", {})
    notes = {name: value for name, value in all_notes.items() if name not in (ADDED, WINDOW)}
    spec = {name: value for name, value in pod["spec"].items() if name != "terminationGracePeriodSeconds"}
    spec["containers"] = [_without(one, "lifecycle") for one in spec["containers"]]
    return {"annotations": notes, "spec": spec, "status": pod["status"]}


def _without(container: Object, name: str) -> Object:
    return {key: value for key, value in container.items() if key != name}


async def test_a_window_is_any_duration_up_to_an_hour_or_off(cluster: Cluster, shop: str) -> None:
    expected = FOLLOWED | dict.fromkeys(NOT_FOLLOWED, USUAL)
    given = {}
    for text in expected:
        hooks, grace = looks(await made(cluster, shop, a_pod(annotations={WINDOW: text})))
        given[text] = grace - GRACE
        assert hooks == {"main": sleep(grace - GRACE) if given[text] else None}
    assert given == expected


async def test_a_namespace_may_be_off_for_all_but_the_pods_that_ask(cluster: Cluster) -> None:
    async with opted_in(cluster, window="off") as name:
        assert looks(await made(cluster, name, a_pod())) == ({"main": None}, 30)
        assert looks(await made(cluster, name, a_pod(annotations={WINDOW: "20s"}))) == ({"main": sleep(20)}, 50)


async def test_a_namespaces_window_that_cannot_be_followed_is_the_usual_one(cluster: Cluster) -> None:
    async with opted_in(cluster, window="forever") as name:
        assert looks(await made(cluster, name, a_pod())) == ({"main": sleep(95)}, 125)


@pytest.mark.parametrize("labels", [{}, {WINDOW: "disabled"}, {WINDOW: "20s"}, {"eureka.drain/client": "true"}])
async def test_nothing_changes_in_a_namespace_that_has_not_opted_in(
    cluster: Cluster, shop: str, labels: Mapping[str, str]
) -> None:
    async with a_namespace(cluster, labels=labels, window="45s") as name:
        for notes in ({}, {WINDOW: "20s"}):
            pod = await made(cluster, name, a_pod(annotations=notes))
            assert looks(pod) == ({"main": None}, 30)
            assert pod["metadata"].get("annotations", {}) == notes


async def test_a_namespace_that_opts_out_again_is_not_changed(cluster: Cluster) -> None:
    async with opted_in(cluster, labels={}) as name:
        await cluster.kubectl("label", "namespace", name, f"{WINDOW}-")

        async def is_untouched() -> bool:
            return looks(await made(cluster, name, a_pod())) == ({"main": None}, 30)

        await until(is_untouched, "the namespace left alone")


@pytest.mark.parametrize("hook", [None, OWN_HOOK], ids=["no hook", "a hook of its own"])
async def test_a_webhooks_sidecar_serves_as_long_and_the_grace_grows_once(
    cluster: Cluster, tmp_path: Path, hook: Object | None
) -> None:
    sidecar = a_container("sidecar") | ({"lifecycle": hook} if hook else {})
    async with opted_in(cluster) as name, adding(cluster, name, sidecar, tmp_path) as seen:

        async def with_sidecar() -> Object | None:
            pod = await made(cluster, name, a_pod())
            return pod if len(pod["spec"]["containers"]) == 2 else None

        pod = await until(with_sidecar, "the webhook in force")
        assert looks(pod) == ({"main": sleep(95), "sidecar": hook or sleep(95)}, 125)
        assert pod["metadata"]["annotations"] == {ADDED: "95s"}
        first = seen[-1] if hook else seen[-2]
        assert [one.get("lifecycle") for one in first["containers"]] == [sleep(95)], "the policy is before webhooks"


async def test_the_sidecar_of_a_pod_that_is_not_changed_is_not_changed_either(cluster: Cluster, tmp_path: Path) -> None:
    sidecar = a_container("sidecar")
    async with opted_in(cluster) as name, adding(cluster, name, sidecar, tmp_path):

        async def with_sidecar() -> Object | None:
            pod = await made(cluster, name, a_pod(a_spec(a_container(lifecycle=OWN_HOOK))))
            return pod if len(pod["spec"]["containers"]) == 2 else None

        pod = await until(with_sidecar, "the webhook in force")
        assert looks(pod) == ({"main": OWN_HOOK, "sidecar": None}, 30)


async def test_a_copy_of_a_pod_with_the_window_gets_no_second_one(cluster: Cluster, shop: str, stock: str) -> None:
    first = await made(cluster, shop, a_pod())
    notes = first["metadata"]["annotations"]
    wider = first["spec"] | {"containers": [*first["spec"]["containers"], a_container("added")]}
    for namespace in (shop, stock):
        again = await made(cluster, namespace, a_pod(first["spec"], notes))
        assert looks(again) == looks(first) == ({"main": sleep(95)}, 125)
        assert again["metadata"]["annotations"] == notes == {ADDED: "95s"}
        more = await made(cluster, namespace, a_pod(wider, notes))
        assert looks(more) == ({"main": sleep(95), "added": sleep(95)}, 125)


@pytest.mark.parametrize("mark", ["95s", "7200s", "0s", "-5s", "9999s", "soon", ""])
async def test_our_mark_written_by_hand_is_not_believed(cluster: Cluster, shop: str, mark: str) -> None:
    pod = await made(cluster, shop, a_pod(annotations={ADDED: mark}))
    assert looks(pod) == ({"main": sleep(95)}, 125)
    assert pod["metadata"]["annotations"][ADDED] == "95s"


async def test_both_policies_read_a_namespaces_caches_alike() -> None:
    policies = [next(yaml.safe_load_all(file.read_text(encoding="utf-8"))) for file in (POLICY, CLIENTS_POLICY)]
    window, clients = ({one["name"]: one["expression"] for one in each["spec"]["variables"]} for each in policies)
    for name in ("usualCaches", "namespaceNotes", "saidCaches", "caches"):
        assert window[name] == clients[name]
    assert [each["spec"]["variables"][1]["name"] for each in policies] == ["usualCaches"] * 2, "an overlay patches it"


async def test_an_error_in_the_policy_stands_in_no_pods_way(cluster: Cluster, shop: str) -> None:
    longest = 2**63 - 1
    pod = await made(cluster, shop, a_pod(a_spec(terminationGracePeriodSeconds=longest)))
    assert looks(pod) == ({"main": None}, longest), "95 more is no number any more"


async def test_doctor_finds_that_a_deployments_pods_serve_long_enough(
    cluster: Cluster, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = a_spec(a_container(lifecycle=OWN_HOOK), schedulingGates=NEVER_RUN)
    for name, spec in {"orders": a_spec(schedulingGates=NEVER_RUN), "own-hook": own}.items():
        await cluster.client.create("deployments", deployment(name, spec, replicas=2), shop)
    once = a_spec(restartPolicy="Never", schedulingGates=NEVER_RUN)
    await cluster.client.create("jobs", job("once", once), shop)

    async def all_pods() -> list[Object] | None:
        pods = await cluster.client.list("pods", shop)
        return pods if len(pods) == 5 else None

    pods = await until(all_pods, "the pods of both and of the Job", timeout=60)
    seen = {(pod["metadata"]["generateName"].split("-")[0], *map(str, looks(pod))) for pod in pods}
    assert seen == {
        ("orders", str({"main": sleep(95)}), "125"),
        ("own", str({"main": OWN_HOOK}), "30"),
        ("once", str({"main": None}), "30"),
    }
    async with connected(cluster.kubeconfig, monkeypatch):
        looked = await survey_pods(Settings.model_validate({"watch": {"namespaces": [shop]}}))
    assert {one.workload.name: one.verdict for one in looked.findings} == {
        "orders": WindowCoverage.enough,
        "own-hook": WindowCoverage.too_short,
        "once": WindowCoverage.left_out,
    }


async def test_doctor_compares_with_the_window_of_the_namespace(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opted_in(cluster, window="20s") as name:
        await cluster.client.create("deployments", deployment("orders", a_spec(schedulingGates=NEVER_RUN)), name)
        await until(lambda: cluster.client.list("pods", name), "a pod", timeout=60)
        async with connected(cluster.kubeconfig, monkeypatch):
            looked = await survey_pods(Settings.model_validate({"watch": {"namespaces": [name]}}))
    [found] = looked.findings
    assert found.window is not None
    assert (found.verdict, found.serves_seconds, found.window.whole_seconds) == (WindowCoverage.enough, 20, 20)
