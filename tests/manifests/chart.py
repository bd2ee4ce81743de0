"""The chart as the real helm renders it, and the differences that it is meant to have from kustomize's objects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.manifests.rendering import MANIFESTS, Object

CHART = MANIFESTS.parent / "charts" / "eureka-drain"
ADDED_LABELS = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"}
"""What every chart's objects bear."""
REGIONS = {"eu": {"nodes": ["http://eureka-0.eureka.infra:8761/eureka"]}}
LEAST: Object = {"settings": {"regions": REGIONS}}
SWITCHES = ("grafanaDashboard", "annotationsPolicy", "drainWindow", "eurekaClients")
ALL_ON: Object = LEAST | {
    **dict.fromkeys(SWITCHES, True),
    "prometheus": {"podMonitor": True, "rules": True, "runbookUrl": "https://example.org/docs/runbook.md"},
    "tls": {"brokerSecret": "broker-tls", "eurekaSecret": "eureka-tls"},
    "image": {"digest": f"sha256:{'0' * 64}", "pullSecrets": ["pull"]},
    "podAnnotations": {"team": "platform"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "work": {"regions": {"eu": {"replicas": 3, "secret": "of-eu"}}},
}
ALL_OFF: Object = LEAST | {
    "sweep": {"enabled": False},
    "topologyKeeper": {"enabled": False},
    "priorityClass": {"create": False},
    "networkPolicies": {"enabled": False},
}
BY_KYVERNO: Object = LEAST | {"drainWindow": True, "eurekaClients": True, "policyEngine": "kyverno"}
CORNERS = {"least": LEAST, "all on": ALL_ON, "all off": ALL_OFF, "by kyverno": BY_KYVERNO}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How helm ended."""

    status: int
    printed: str
    said: str


@dataclass(frozen=True, slots=True)
class Helm:
    """The program."""

    program: Path

    async def run(self, *words: str, values: Object | None = None) -> Ended:
        """Run it; values come from its standard input."""
        given = ["-f", "-"] if values is not None else []
        child = await asyncio.create_subprocess_exec(
            str(self.program),
            *words,
            *given,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, said = await child.communicate(json.dumps(values).encode() if given else None)
        assert child.returncode is not None
        return Ended(status=child.returncode, printed=printed.decode(), said=said.decode())

    async def render(self, values: Object, *words: str, release: str = "eureka-drain") -> tuple[Object, ...]:
        """Every object of a release in the namespace `eureka-drain`, but the test's pod."""
        namespace = ("--namespace", "eureka-drain")
        ended = await self.run("template", release, str(CHART), *namespace, "--skip-tests", *words, values=values)
        assert ended.status == 0, ended.said
        return tuple(one for one in yaml.safe_load_all(ended.printed) if one)


def key_of(one: Object) -> tuple[str, str, str]:
    """Kind, namespace and name. What names no namespace comes into the release's; kustomize names it for any kind."""
    metadata = one["metadata"]
    name = "settings" if _is_settings(one) else metadata["name"]
    return one["kind"], metadata.get("namespace", "eureka-drain"), name


def _is_settings(one: Object) -> bool:
    return bool(one["kind"] == "ConfigMap" and "controller.yaml" in one["data"])


def compared(one: Object) -> Object:
    """The object without what may differ: labels of its own, names by contents, what is said to kube-score."""
    found: Object = _plain(one)
    for field in ("name", "namespace"):
        found["metadata"].pop(field, None)
    if _is_settings(one):
        found["data"] = {"controller.yaml": yaml.safe_load(one["data"]["controller.yaml"])}
    return found


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        fields = {key: _plain(one, key) for key, one in value.items() if key not in ADDED_LABELS}
        if name == "metadata":
            fields.pop("labels", None)
            notes = fields.pop("annotations", {})
            kept = {
                key: one for key, one in notes.items() if not key.startswith(("kube-score/", "eureka.drain/settings"))
            }
            fields |= {"annotations": kept} if kept else {}
        if name == "configMap":
            fields["name"] = "settings"
        if fields.get("matchLabels") == {}:
            del fields["matchLabels"]
        return fields
    return [_plain(one) for one in value] if isinstance(value, list) else value


def labels_of(one: Object) -> dict[str, str]:
    """Those of the object."""
    labels: dict[str, str] = one["metadata"].get("labels", {})
    return labels
