"""The manifests as kustomize renders them, and what a pod would see of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from controller.settings import Settings
from controller.settings.sources import Sources
from tests.stack.pod_handlers import environment, expand

Object = dict[str, Any]

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
COMPONENTS = sorted(folder.name for folder in (MANIFESTS / "components").iterdir())
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
REGION = "eureka.drain/region"
BROKER_URL = "amqp://role:from-the-secret@rabbitmq.infra:5672/"
CREDENTIALS = {"username": "made-up", "password": "by-the-operator"}
"""What the topology operator puts into a user's Secret."""


@cache
def render(folder: Path) -> tuple[Object, ...]:
    """Every object of a kustomization."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert not done.stderr, "kustomize has something to say"
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> tuple[Object, ...]:
    """One of the overlays as it is."""
    return render(MANIFESTS / "overlays" / name)


def write_overlay(folder: Path, *resources: Path, components: tuple[str, ...] = (), **fields: Any) -> Path:
    """Write a kustomization on top of others, with components of ours."""
    wanted = [MANIFESTS / "components" / name for name in components]
    content = {
        # Kustomize takes no absolute path.
        "resources": [os.path.relpath(one, folder) for one in resources],
        "components": [os.path.relpath(one, folder) for one in wanted],
        **fields,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return folder


def of_kind(objects: tuple[Object, ...], *kinds: str) -> dict[str, Object]:
    """Those of some kinds, by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] in kinds}


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or CronJob, and the pods that it makes."""

    object: Object
    template: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        """Its pods'."""
        return dict(self.template["metadata"]["labels"])

    @property
    def role(self) -> str:
        """What it does; empty for what is not ours."""
        return self.labels[COMPONENT] if self.labels[NAME] == "eureka-drain" else ""

    @property
    def pod(self) -> Object:
        """Its pods' spec."""
        spec: Object = self.template["spec"]
        return spec

    @property
    def container(self) -> Object:
        """Its only one."""
        (container,) = self.pod["containers"]
        one: Object = container
        return one

    @property
    def variables(self) -> dict[str, str]:
        """Its environment as a node fills it in."""
        pod = {"metadata": {"name": "", "namespace": "", "uid": "", **self.template["metadata"]}, "spec": self.pod}
        return environment(pod, self.container, ip="10.1.0.1", host_ip="10.0.0.1")

    @property
    def args(self) -> list[str]:
        """The words that the program gets."""
        return [expand(word, self.variables) for word in self.container["args"]]


def workloads(objects: tuple[Object, ...]) -> list[Workload]:
    """All of them."""
    found = []
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            found.append(Workload(one, one["spec"]["template"]))
        elif one["kind"] == "CronJob":
            found.append(Workload(one, one["spec"]["jobTemplate"]["spec"]["template"]))
    return found


def ours(objects: tuple[Object, ...]) -> list[Workload]:
    """Return those that run the program; there is at least one."""
    found = [one for one in workloads(objects) if one.role]
    assert found, "no object runs the program"
    return found


def settings_of(workload: Workload, objects: tuple[Object, ...], root: Path) -> Settings:
    """The settings that its pod reads: files where its mounts put them, below ``root``, and its environment."""
    for mount in workload.container["volumeMounts"]:
        (volume,) = [one for one in workload.pod["volumes"] if one["name"] == mount["name"]]
        place = root / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        for name, text in _contents(volume, objects).items():
            (place / name).write_text(text)
    variables = {
        name: str(root / value.lstrip("/")) if value.startswith("/") else value
        for name, value in workload.variables.items()
    }
    return Sources(environ=variables).load()


def _contents(volume: Object, objects: tuple[Object, ...]) -> Mapping[str, str]:
    if "configMap" in volume:
        data: dict[str, str] = of_kind(objects, "ConfigMap")[volume["configMap"]["name"]]["data"]
        return data
    if "projected" in volume:
        sources = [one["secret"] for one in volume["projected"]["sources"]]
        [made] = [one for one in sources if "items" in one]
        return {item["path"]: CREDENTIALS[item["key"]] for item in made["items"]}
    return {"broker__url": BROKER_URL}


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses what bears these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    assert all(one["operator"] == "In" for one in selector.get("matchExpressions", []))
    return all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))


def egress_ports(workload: Workload, objects: tuple[Object, ...]) -> set[tuple[str, int]]:
    """Where its pods may connect to, by any policy that selects them."""
    return {
        (port["protocol"], port["port"])
        for policy in _policies(workload, objects)
        for rule in policy["spec"].get("egress", [])
        for port in rule["ports"]
    }


def ingress_rules(workload: Workload, objects: tuple[Object, ...]) -> list[Object]:
    """Who may connect to its pods."""
    return [rule for policy in _policies(workload, objects) for rule in policy["spec"].get("ingress", [])]


def _policies(workload: Workload, objects: tuple[Object, ...]) -> Iterator[Object]:
    for policy in of_kind(objects, "NetworkPolicy").values():
        if selects(policy["spec"]["podSelector"], workload.labels):
            yield policy
