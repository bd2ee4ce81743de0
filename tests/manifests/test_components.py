"""What each component adds to an overlay."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from controller.app.assembly import windows_of
from controller.settings import WindowSettings
from controller.settings.sources import Sources
from tests.manifests.rendering import (
    COMPONENTS,
    MANIFESTS,
    OVERLAYS,
    Object,
    Workload,
    of_kind,
    ours,
    overlay,
    render,
    settings_of,
    write_overlay,
)

EXAMPLE = MANIFESTS / "overlays" / "namespaced" / "installation"
"""The one that has no component yet."""
BROKER = "/etc/eureka-drain-tls/broker"
EUREKA = "/etc/eureka-drain-tls/eureka"


def with_components(folder: Path, *names: str) -> tuple[Object, ...]:
    return render(write_overlay(folder, EXAMPLE, components=names))


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("annotations-policy", {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}),
        ("drain-window", {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}),
        ("eureka-clients", {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}),
        ("grafana-dashboard", {"ConfigMap"}),
        ("kyverno", {"MutatingPolicy"}),
        ("namespace", {"Namespace"}),
        ("priority", {"PriorityClass"}),
        ("prometheus", {"PodMonitor", "PrometheusRule"}),
        ("rabbitmq-topology-operator", {"Vhost", "User", "Permission"}),
        ("tls", set()),
        ("topology-keeper", {"Deployment", "PodDisruptionBudget", "ServiceAccount"}),
    ],
)
def test_each_adds_its_own_objects(tmp_path: Path, name: str, added: set[str]) -> None:
    before = {(one["kind"], one["metadata"]["name"]) for one in render(EXAMPLE)}
    after = [(one["kind"], one["metadata"]["name"]) for one in with_components(tmp_path, name)]
    assert {kind for kind, _ in set(after) - before} == added
    assert before <= set(after)
    assert len(after) == len(set(after))


def test_they_work_together(tmp_path: Path) -> None:
    objects = with_components(tmp_path, *COMPONENTS)
    kinds = {one["kind"] for one in objects}
    assert kinds > {"PodMonitor", "PriorityClass", "Namespace", "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"}
    assert {one.role for one in ours(objects)} == {one.role for one in ours(render(EXAMPLE))} | {"topology"}


def test_the_namespace_enforces_the_strictest_standard_under_any_name(tmp_path: Path) -> None:
    objects = render(write_overlay(tmp_path, EXAMPLE, components=("namespace",), namespace="infra"))
    (namespace,) = of_kind(objects, "Namespace").values()
    assert namespace["metadata"]["name"] == "infra"
    for mode in ("enforce", "warn", "audit"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
    assert {one["metadata"]["namespace"] for one in objects if one["kind"] != "Namespace"} == {"infra"}


def test_rights_follow_the_accounts_into_another_namespace(tmp_path: Path) -> None:
    objects = render(write_overlay(tmp_path, MANIFESTS / "overlays" / "one-cluster", namespace="infra"))
    bindings = of_kind(objects, "ClusterRoleBinding").values()
    assert {subject["namespace"] for one in bindings for subject in one["subjects"]} == {"infra"}


def test_priority_is_above_usual_pods_and_below_the_systems(tmp_path: Path) -> None:
    objects = with_components(tmp_path, "priority")
    (priority,) = of_kind(objects, "PriorityClass").values()
    assert 0 < priority["value"] < 1_000_000_000, "more is the system's own"
    assert {one.pod["priorityClassName"] for one in ours(objects)} == {priority["metadata"]["name"]}
    assert all("priorityClassName" not in one.pod for one in ours(render(EXAMPLE)))


def test_prometheus_scrapes_the_port_of_every_long_running_role(tmp_path: Path) -> None:
    objects = with_components(tmp_path, "prometheus")
    (monitor,) = of_kind(objects, "PodMonitor").values()
    (end,) = monitor["spec"]["podMetricsEndpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    scraped = {
        one.role
        for one in ours(objects)
        if wanted.items() <= one.labels.items()
        and end["port"] in [port["name"] for port in one.container.get("ports", [])]
    }
    assert scraped == {"watch", "work", "ops"}


def test_tls_mounts_the_files_that_the_settings_then_name(tmp_path: Path) -> None:
    objects = with_components(tmp_path / "overlay", "tls")
    for workload in ours(objects):
        mounted = {mount["mountPath"]: _secret(workload, mount) for mount in workload.container["volumeMounts"]}
        assert mounted[BROKER] == "eureka-drain-broker-tls"
        assert mounted[EUREKA] == "eureka-drain-eureka-tls"
        assert all(mount["readOnly"] and "subPath" not in mount for mount in workload.container["volumeMounts"])
        settings = settings_of(workload, objects, tmp_path / workload.name)
        assert settings.broker.ca_file is None, "an overlay's settings say whether TLS is spoken"


def test_the_settings_that_the_tls_component_shows_are_settings(tmp_path: Path) -> None:
    shown = _shown("tls", "broker:")
    assert f"ca_file: {BROKER}/ca.crt" in shown
    assert f"ca_file: {EUREKA}/ca.crt" in shown
    file = tmp_path / "controller.yaml"
    file.write_text(shown)
    settings = Sources(config=file, environ={}).load()
    assert str(settings.broker.ca_file) == f"{BROKER}/ca.crt"
    assert str(settings.regions["eu"].ca_file) == f"{EUREKA}/ca.crt"


def test_the_usual_window_is_that_of_the_settings(tmp_path: Path) -> None:
    (policy,) = of_kind(with_components(tmp_path, "drain-window"), "MutatingAdmissionPolicy").values()
    seconds = windows_of(WindowSettings()).usual.whole_seconds
    assert policy["spec"]["variables"][0] == {"name": "usual", "expression": f"'{seconds}s'"}
    page = (MANIFESTS.parent / "docs" / "window.md").read_text()
    assert f"| the policy | {seconds} s;" in page


def test_another_usual_window_is_set_by_the_patch_that_the_component_shows(tmp_path: Path) -> None:
    shown = yaml.safe_load(_shown("drain-window", "patches:"))
    objects = render(write_overlay(tmp_path, EXAMPLE, components=("drain-window",), **shown))
    (policy,) = of_kind(objects, "MutatingAdmissionPolicy").values()
    assert policy["spec"]["variables"][0] == {"name": "usual", "expression": "'60s'"}


def test_one_patch_sets_the_caches_and_the_window_that_follows_them(tmp_path: Path) -> None:
    shown = yaml.safe_load(_shown("eureka-clients", "patches:"))
    objects = render(write_overlay(tmp_path, EXAMPLE, components=("drain-window", "eureka-clients"), **shown))
    policies = of_kind(objects, "MutatingAdmissionPolicy").values()
    caches = {"name": "usualCaches", "expression": "['10s', '5s']"}
    assert [policy["spec"]["variables"][1] for policy in policies] == [caches, caches]


@pytest.mark.parametrize("name", ["annotations-policy", "drain-window", "eureka-clients"])
def test_a_policy_is_bound_under_any_name(tmp_path: Path, name: str) -> None:
    objects = render(write_overlay(tmp_path, EXAMPLE, components=(name,), namePrefix="blue-", nameSuffix="-2"))
    [policy] = [one for one in objects if one["kind"].endswith("AdmissionPolicy")]
    [binding] = [one for one in objects if one["kind"].endswith("AdmissionPolicyBinding")]
    assert policy["metadata"]["name"].startswith("blue-eureka-drain-")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]


def test_the_examples_use_components_that_exist() -> None:
    assert of_kind(overlay("multi-region"), "ValidatingAdmissionPolicy")
    assert of_kind(overlay("one-cluster"), "PriorityClass", "Namespace").keys() == {"eureka-drain"}


def test_the_page_names_every_overlay_and_component() -> None:
    page = (MANIFESTS / "README.md").read_text()
    for name in (*OVERLAYS, *COMPONENTS):
        assert f"`{name}`" in page


def test_a_region_reads_its_own_secret_by_the_patch_on_the_page(tmp_path: Path) -> None:
    page = (MANIFESTS / "README.md").read_text()
    shown = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    base = MANIFESTS / "base" / "work"
    objects = render(write_overlay(tmp_path, base, nameSuffix="-us", **shown))
    (work,) = ours(objects)
    assert [_secret(work, mount) for mount in work.container["volumeMounts"]] == [None, "eureka-drain-work-us"]


def _shown(component: str, first: str) -> str:
    """What a component's comment shows, from its first line on."""
    comment = (MANIFESTS / "components" / component / "kustomization.yaml").read_text().split("apiVersion")[0]
    lines = [line.removeprefix("#   ") for line in comment.splitlines() if line.startswith("#   ")]
    return "\n".join(lines[lines.index(first) :])


def _secret(workload: Workload, mount: Object) -> str | None:
    (volume,) = [one for one in workload.pod["volumes"] if one["name"] == mount["name"]]
    name: str | None = volume.get("secret", {}).get("secretName")
    return name


def test_a_name_prefix_reaches_the_accounts_that_people_ask_tokens_for(tmp_path: Path) -> None:
    objects = render(write_overlay(tmp_path, MANIFESTS / "overlays" / "one-cluster", namePrefix="blue-"))
    accounts = of_kind(objects, "ServiceAccount")
    roles = of_kind(objects, "Role").values()
    named = {name for role in roles for rule in role["rules"] for name in rule.get("resourceNames", ())}
    assert named == {"blue-eureka-drain-viewer", "blue-eureka-drain-operator"}
    assert named <= accounts.keys()
