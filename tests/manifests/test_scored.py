"""What reviewers' tools report: kube-score finds nothing critical, and each supported Kubernetes knows every field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kubernetes_validate import SchemaNotFoundError, ValidationError, validate

from tests.manifests.rendering import COMPONENTS, MANIFESTS, OVERLAYS, Object, overlay, render, workloads, write_overlay
from tests.manifests.scoring import CRITICAL, SINCE, VERSIONS, score, validate_all

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("name", OVERLAYS)
async def test_kube_score_finds_nothing_critical(kube_score: Path, tmp_path: Path, name: str) -> None:
    found = await score(kube_score, overlay(name), tmp_path)
    assert {what for what, grade in found.items() if grade <= CRITICAL} == set()
    # Spread by topologySpreadConstraints instead, and ops is one: its comment says why.
    assert {check for _, check in found} <= {
        "deployment-has-host-podantiaffinity",
        "statefulset-has-host-podantiaffinity",
        "deployment-replicas",
    }


async def test_kube_score_finds_nothing_critical_with_every_component(kube_score: Path, tmp_path: Path) -> None:
    example = MANIFESTS / "overlays" / "namespaced" / "installation"
    found = await score(kube_score, render(write_overlay(tmp_path, example, components=tuple(COMPONENTS))), tmp_path)
    assert {what for what, grade in found.items() if grade <= CRITICAL} == set()


async def test_kube_score_would_find_what_is_missing(kube_score: Path, tmp_path: Path) -> None:
    objects: tuple[Object, ...] = tuple(json.loads(json.dumps(overlay("one-cluster"))))
    (watch,) = [one for one in workloads(objects) if one.role == "watch"]
    del watch.container["resources"]["limits"]
    del watch.object["metadata"]["annotations"]["kube-score/ignore"]
    found = await score(kube_score, objects, tmp_path)
    assert {what for what, grade in found.items() if grade <= CRITICAL} >= {
        ("eureka-drain-watch", "container-resources"),
        ("eureka-drain-watch", "container-image-pull-policy"),
    }


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Each object of every overlay and component once."""
    example = MANIFESTS / "overlays" / "namespaced" / "installation"
    folder = write_overlay(tmp_path_factory.mktemp("components"), example, components=tuple(COMPONENTS))
    objects = [*render(folder), *(one for name in OVERLAYS for one in overlay(name))]
    return list({json.dumps(one): one for one in objects}.values())


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_supported_kubernetes_knows_every_field(version: str, everything: list[Object]) -> None:
    kinds = validate_all(everything, version)
    assert {"Deployment", "CronJob", "NetworkPolicy", "ValidatingAdmissionPolicy"} <= kinds
    assert SINCE.keys() <= kinds or version < min(SINCE.values())


@pytest.mark.parametrize("kind", SINCE)
async def test_an_older_kubernetes_does_not_know_a_younger_kind(everything: list[Object], kind: str) -> None:
    younger = [one for one in everything if one["kind"] == kind]
    assert len(younger) == 2, "drain-window and eureka-clients"
    for one in younger:
        with pytest.raises(SchemaNotFoundError):
            validate(one, VERSIONS[VERSIONS.index(SINCE[kind]) - 1], strict=True)


async def test_a_misspelt_field_is_not_known() -> None:
    (watch,) = [one for one in workloads(overlay("one-cluster")) if one.role == "watch"]
    spec = watch.object["spec"] | {"replica": 2}
    with pytest.raises(ValidationError, match="replica"):
        validate(watch.object | {"spec": spec}, VERSIONS[0], strict=True)
