"""The Helm chart: kustomize's objects, every switch, and what it says of values that it cannot follow."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.manifests.chart import (
    ALL_OFF,
    ALL_ON,
    BY_KYVERNO,
    CHART,
    CORNERS,
    LEAST,
    REGIONS,
    Helm,
    compared,
    key_of,
    labels_of,
)
from tests.manifests.rendering import MANIFESTS, Object, of_kind, ours, overlay, settings_of, workloads
from tests.manifests.scoring import CRITICAL, VERSIONS, score, validate_all
from tests.stack.cluster import Cluster
from tests.stack.parts import helm as built_helm
from tests.stack.prerequisites import ReportProgress

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def helm(report_progress: ReportProgress) -> Helm:
    return Helm(await built_helm(report_progress) / "helm")


def settings_in(name: str) -> Object:
    """What an overlay's own file says."""
    [found] = [one for one in overlay(name) if one["kind"] == "ConfigMap" and "controller.yaml" in one["data"]]
    settings: Object = yaml.safe_load(found["data"]["controller.yaml"])
    return settings


def with_region_in_its_name(one: Object, region: str) -> Object:
    """The chart names each region's work, kustomize that of an only one does not."""
    text = json.dumps(one)
    for kind in ("name", "serviceAccountName"):
        text = text.replace(f'"{kind}": "eureka-drain-work"', f'"{kind}": "eureka-drain-work-{region}"')
    renamed: Object = json.loads(text)
    return renamed


OVERLAYS: dict[str, Object] = {
    "one-cluster": {},
    "multi-region": {"annotationsPolicy": True},
    "namespaced": {
        "rbac": {"scope": "namespaces"},
        "priorityClass": {"create": False},
        "topologyKeeper": {"enabled": False},
    },
}
"""The switches that make the same of the chart. `demo` brings a broker and Eureka nodes, which the chart does not."""


@pytest.mark.parametrize("name", OVERLAYS)
async def test_it_renders_what_the_overlay_renders(helm: Helm, name: str) -> None:
    settings = settings_in(name)
    by_helm = {key_of(one): one for one in await helm.render({"settings": settings, **OVERLAYS[name]})}
    region = "" if len(settings["regions"]) > 1 else "eu"
    rendered = [with_region_in_its_name(one, region) if region else one for one in overlay(name)]
    by_kustomize = {key_of(one): one for one in rendered if one["kind"] != "Namespace"}
    assert set(by_helm) == set(by_kustomize)
    for key, one in by_kustomize.items():
        assert compared(by_helm[key]) == compared(one), key
        assert labels_of(one).items() <= labels_of(by_helm[key]).items(), key


COMPONENTS = MANIFESTS / "components"
OF_COMPONENTS = (
    *(COMPONENTS / name / "policy.yaml" for name in ("annotations-policy", "drain-window", "eureka-clients")),
    *(COMPONENTS / "prometheus" / name for name in ("pod-monitor.yaml", "rules.yaml")),
)


async def test_its_switches_add_the_components_objects(helm: Helm) -> None:
    rendered = {key_of(one): one for one in await helm.render(ALL_ON)}
    for file in OF_COMPONENTS:
        text = file.read_text().replace("docs/runbook.md#", f"{ALL_ON['prometheus']['runbookUrl']}#")
        for one in yaml.safe_load_all(text):
            assert compared(rendered[key_of(one)]) == compared(one)
    dashboard = of_kind(tuple(rendered.values()), "ConfigMap")["eureka-drain-dashboard"]
    assert json.loads(dashboard["data"]["eureka-drain.json"]) == json.loads(
        (COMPONENTS / "grafana-dashboard" / "dashboard.json").read_text()
    )


async def test_kyverno_is_given_its_own_policies_and_the_api_server_none(helm: Helm) -> None:
    rendered = await helm.render(BY_KYVERNO)
    added = [one for one in rendered if key_of(one) not in {key_of(least) for least in await helm.render(LEAST)}]
    files = (COMPONENTS / "kyverno" / f"{name}.yaml" for name in ("drain-window", "eureka-clients"))
    assert sorted(map(key_of, added)) == sorted(key_of(yaml.safe_load(file.read_text())) for file in files)
    assert {one["kind"] for one in added} == {"MutatingPolicy"}


@pytest.mark.parametrize("name", CORNERS)
async def test_helm_has_nothing_to_say_of_it(helm: Helm, name: str) -> None:
    ended = await helm.run("lint", "--strict", str(CHART), values=CORNERS[name])
    assert ended.status == 0, ended.printed
    assert "WARNING" not in ended.printed


@pytest.mark.parametrize("name", CORNERS)
async def test_kube_score_finds_nothing_critical(helm: Helm, kube_score: Path, tmp_path: Path, name: str) -> None:
    found = await score(kube_score, await helm.render(CORNERS[name]), tmp_path)
    policies = set() if name != "all off" else {check for _, check in found if "networkpolicy" in check}
    assert {what for what, grade in found.items() if grade <= CRITICAL and what[1] not in policies} == set()


@pytest.mark.parametrize("name", CORNERS)
async def test_every_supported_kubernetes_knows_every_field(helm: Helm, name: str) -> None:
    objects = await helm.render(CORNERS[name])
    for version in VERSIONS:
        assert "Deployment" in validate_all(objects, version)


@pytest.mark.parametrize("name", CORNERS)
async def test_the_api_server_takes_every_object(
    helm: Helm, cluster: Cluster, crds: None, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "rendered.yaml"
    objects = await helm.render(CORNERS[name], "--set", "priorityClass.create=false")
    file.write_text(yaml.safe_dump_all([_moved(one) for one in objects]))
    said = await cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))
    assert said.count("(server dry run)") == len(objects)


def _moved(one: Object) -> Object:
    """To a namespace that is there."""
    moved: Object = json.loads(json.dumps(one).replace('"namespace": "eureka-drain"', '"namespace": "default"'))
    return moved


@pytest.mark.parametrize("name", CORNERS)
async def test_each_pod_reads_the_settings_that_were_given(helm: Helm, tmp_path: Path, name: str) -> None:
    objects = await helm.render(CORNERS[name])
    for workload in ours(objects):
        folder = tmp_path / workload.name
        folder.mkdir()
        settings = settings_of(workload, objects, folder)
        assert list(settings.regions) == list(REGIONS)
        if workload.role == "work":
            assert workload.args == ["work", "--region", "eu"]


async def test_a_release_of_another_name_says_so_in_every_name(helm: Helm) -> None:
    objects = await helm.render(LEAST, release="blue")
    assert {one["metadata"]["name"].startswith("blue-eureka-drain") for one in objects} == {True}
    secrets = {one.pod["volumes"][1]["secret"]["secretName"] for one in workloads(objects)}
    assert secrets == {f"blue-eureka-drain-{role}" for role in ("watch", "work", "ops", "sweep", "topology")}


async def test_other_settings_are_other_pods_and_the_same_ones_are_not(helm: Helm) -> None:
    async def templates(values: Object) -> list[Any]:
        return [one.template["metadata"]["annotations"] for one in workloads(await helm.render(values))]

    changed = {"settings": LEAST["settings"] | {"retention": "1m"}}
    assert await templates(LEAST) == await templates(LEAST | {"watch": {"replicas": 3}})
    assert all(one != other for one, other in zip(await templates(LEAST), await templates(changed), strict=True))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "settings.regions is empty"),
        (LEAST | {"wach": {}}, "wach"),
        (LEAST | {"rbac": {"scope": "cluster-wide"}}, "scope"),
        (LEAST | {"policyEngine": "gatekeeper"}, "policyEngine"),
        (LEAST | {"watch": {"replicas": 0}}, "replicas"),
        ({"settings": {"regions": {"EU": REGIONS["eu"]}}}, "EU"),
        (LEAST | {"image": {"digest": "sha256:short"}}, "digest"),
        (LEAST | {"prometheus": {"runbookUrl": "docs/runbook.md"}}, "runbookUrl"),
        (LEAST | {"rbac": {"scope": "namespaces"}}, "settings.watch.namespaces"),
        ({"settings": {"regions": {"eu": None}}}, "settings.regions.eu has no nodes"),
        ({"settings": {"regions": {"eu": {"nodes": ["http://u:p@eureka-0:8761/eureka"]}}}}, "eu.nodes has a password"),
        ({"settings": LEAST["settings"] | {"broker": {"url": "amqp://u:p@broker/"}}}, "broker.url has a password"),
        ({"settings": LEAST["settings"] | {"http": {"port": 9090}}}, "settings.http.port is 8080 here"),
        ({"settings": LEAST["settings"] | {"watch": {"namespaces": "shop"}}}, "write a list, [shop]"),
        (LEAST | {"image": {"repository": "registry.example:5000/drain:0.1.0"}}, "put that into image.tag"),
        (LEAST | {"sweep": {"schedule": "hourly"}}, "schedule"),
        (
            {"settings": {"regions": REGIONS, "watch": {"namespaces": ["shop"]}}, "rbac": {"scope": "namespaces"}},
            "settings.ops.kubernetes",
        ),
    ],
    ids=str,
)
async def test_values_that_cannot_be_followed_are_named(helm: Helm, values: Object, text: str) -> None:
    ended = await helm.run("template", "eureka-drain", str(CHART), values=values)
    assert ended.status != 0
    assert text in ended.said


@pytest.mark.parametrize(
    "values",
    [
        LEAST | {"sweep": {"schedule": "@hourly"}},
        LEAST | {"image": {"repository": "registry.example:5000/eureka-drain"}},
        {"settings": LEAST["settings"] | {"http": {"port": 8080}, "broker": {"url": "amqp://broker:5672/drain"}}},
    ],
    ids=str,
)
async def test_values_that_look_like_those_can_be_followed(helm: Helm, values: Object) -> None:
    ended = await helm.run("template", "eureka-drain", str(CHART), values=values)
    assert ended.status == 0, ended.said


async def test_the_test_asks_the_doctor_as_the_work_does(helm: Helm) -> None:
    ended = await helm.run("template", "eureka-drain", str(CHART), values=ALL_OFF)
    [pod] = [one for one in yaml.safe_load_all(ended.printed) if one and one["kind"] == "Pod"]
    [container] = pod["spec"]["containers"]
    assert container["args"] == ["doctor", "--role", "work"]
    [work] = [one for one in workloads(await helm.render(ALL_OFF)) if one.role == "work"]
    assert pod["spec"]["volumes"] == work.pod["volumes"]


async def test_its_version_is_the_programs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    [work] = [one for one in workloads(overlay("one-cluster")) if one.role == "work"]
    version = work.labels["app.kubernetes.io/version"]
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"], project) == (version, version, version)
