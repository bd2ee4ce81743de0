"""What reviewers' tools say of manifests: kube-score's grades, and the fields that each version of Kubernetes knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import kubernetes_validate.utils as definitions
import yaml
from kubernetes_validate import validate

from tests.manifests.rendering import Object
from tests.manifests.topology_operator import PLURALS

VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
CUSTOM = {"PodMonitor", "PrometheusRule", "MutatingPolicy", *PLURALS}
"""Not of Kubernetes: the API server checks them, in test_applied.py, by their operators' definitions."""
SINCE = {"MutatingAdmissionPolicy": "1.36", "MutatingAdmissionPolicyBinding": "1.36"}
"""Kinds that are younger than the oldest version; kubernetes-validate knows their API version from there on."""
CRITICAL = 1
"""kube-score's grade; 5 is a warning, 7 nearly good, 10 good."""

_read = cache(definitions.schema_contents)


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


def validate_all(objects: Iterable[Object], version: str) -> set[str]:
    """Validate what this version of Kubernetes has; return the kinds. ValidationError: a field that it lacks."""
    definitions.schema_contents = _read  # it would read all definitions again for each object
    kinds = set()
    for one in objects:
        if one["kind"] not in CUSTOM and version >= SINCE.get(one["kind"], VERSIONS[0]):
            assert validate(one, version, strict=True) == version, "it carries this version's own definitions"
            kinds.add(one["kind"])
    return kinds
