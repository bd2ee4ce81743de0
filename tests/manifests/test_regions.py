"""A region of the multi-region example is three lines of kustomization."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import (
    COMPONENT,
    MANIFESTS,
    REGION,
    Object,
    of_kind,
    ours,
    overlay,
    render,
    selects,
    settings_of,
)

ROOT = Path("overlays") / "multi-region"
NODES = ["http://eureka-0.eureka.ap:8761/eureka", "http://eureka-1.eureka.ap:8761/eureka"]


@pytest.fixture
def with_ap(tmp_path: Path) -> tuple[Object, ...]:
    """The example with another region, added as its comment says."""
    manifests = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, manifests)
    example = manifests / ROOT
    region = example / "regions" / "ap" / "kustomization.yaml"
    region.parent.mkdir()
    region.write_text((example / "regions" / "us" / "kustomization.yaml").read_text().replace("us", "ap"))
    assert len(region.read_text().splitlines()) == 3
    file = example / "kustomization.yaml"
    file.write_text(file.read_text().replace("  - regions/us\n", "  - regions/us\n  - regions/ap\n"))
    settings = example / "controller.yaml"
    content = yaml.safe_load(settings.read_text())
    content["regions"]["ap"] = {"nodes": NODES}
    settings.write_text(yaml.safe_dump(content))
    return render(example)


def test_it_adds_the_regions_own_objects_and_changes_no_others(with_ap: tuple[Object, ...]) -> None:
    before = {(one["kind"], one["metadata"]["name"]) for one in overlay("multi-region")}
    after = {(one["kind"], one["metadata"]["name"]) for one in with_ap}
    renamed = {(kind, name) for kind, name in before | after if kind == "ConfigMap"}
    assert after - before - renamed == {
        ("ServiceAccount", "eureka-drain-work-ap"),
        ("Deployment", "eureka-drain-work-ap"),
        ("PodDisruptionBudget", "eureka-drain-work-ap"),
    }
    assert before - after - renamed == set()


def test_its_workers_take_its_commands_and_nobody_elses(with_ap: tuple[Object, ...], tmp_path: Path) -> None:
    workers = {one.labels[REGION]: one for one in ours(with_ap) if one.role == "work"}
    assert set(workers) == {"eu", "us", "ap"}
    for name, worker in workers.items():
        assert worker.args == ["work", "--region", name]
        assert worker.name == worker.pod["serviceAccountName"] == f"eureka-drain-work-{name}"
        chosen = [one.name for one in ours(with_ap) if selects(worker.object["spec"]["selector"], one.labels)]
        assert chosen == [worker.name]
        budget = of_kind(with_ap, "PodDisruptionBudget")[worker.name]["spec"]["selector"]
        assert [one.name for one in ours(with_ap) if selects(budget, one.labels)] == [worker.name]
        settings = settings_of(worker, with_ap, tmp_path / name)
        assert [node.get_secret_value() for node in settings.regions["ap"].nodes] == NODES


def test_the_regions_of_the_example_differ_in_nothing_but_their_names() -> None:
    def plain(name: str) -> str:
        made = [one for one in overlay("multi-region") if one["metadata"]["name"] == f"eureka-drain-work-{name}"]
        assert {one["metadata"]["labels"][COMPONENT] for one in made} == {"work"}
        return yaml.safe_dump(made).replace(f"eureka-drain-work-{name}", "W").replace(f"{REGION}: {name}", "R")

    assert plain("eu") == plain("us")
