"""What reviewers' tools report: kube-score finds nothing critical, and each supported Kubernetes knows every field."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from kubernetes_validate import SchemaNotFoundError, ValidationError, validate
from kubernetes_validate import utils as definitions

from tests.manifests.rendering import COMPONENTS, MANIFESTS, OVERLAYS, Object, overlay, render, workloads, write_overlay
from tests.manifests.topology_operator import PLURALS
from tests.stack.parts import kube_score as built_kube_score
from tests.stack.prerequisites import ReportProgress

pytestmark = pytest.mark.asyncio(loop_scope="session")

VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
CUSTOM = {"PodMonitor", "PrometheusRule", *PLURALS}
"""Not of Kubernetes: the API server checks them, in test_applied.py, by their operators' definitions."""
SINCE = {"MutatingAdmissionPolicy": "1.36", "MutatingAdmissionPolicyBinding": "1.36"}
"""Kinds that are younger than the oldest version; kubernetes-validate knows their API version from there on."""
CRITICAL = 1
"""kube-score's grade; 5 is a warning, 7 nearly good, 10 good."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kube_score(report_progress: ReportProgress) -> Path:
    return await built_kube_score(report_progress) / "kube-score"


async def score(kube_score: Path, objects: tuple[Object, ...], folder: Path) -> dict[tuple[str, str], int]:
    """What was found: the object and the check, with its grade; only what is not good."""
    file = folder / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    child = await asyncio.create_subprocess_exec(
        str(kube_score),
        "score",
        f"--kubernetes-version=v{VERSIONS[-1]}",
        "--output-format=json",
        "--output-version=v2",
        str(file),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await child.communicate()
    return {
        (one["object_meta"]["name"], check["check"]["id"]): check["grade"]
        for one in json.loads(printed)
        for check in one["checks"]
        if not check["skipped"] and check["grade"] < 10
    }


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
    return list({json.dumps(one): one for one in objects if one["kind"] not in CUSTOM}.values())


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_supported_kubernetes_knows_every_field(
    version: str, everything: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would read all definitions again for each object.
    monkeypatch.setattr(definitions, "schema_contents", cache(definitions.schema_contents))
    for one in everything:
        if version >= SINCE.get(one["kind"], VERSIONS[0]):
            assert validate(one, version, strict=True) == version, "it carries this version's own definitions"
    kinds = {one["kind"] for one in everything}
    assert {"Deployment", "CronJob", "NetworkPolicy", "ValidatingAdmissionPolicy", *SINCE} <= kinds


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
