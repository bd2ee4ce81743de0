"""What makes workloads' pods serve long enough, in the form in which it is put in force: printed, never applied."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import yaml

from controller.domain.printable import printable
from controller.domain.shutdown.findings import ShutdownSurvey, WorkloadFinding
from controller.domain.shutdown.fix import Fix
from controller.domain.shutdown.patch_form import PatchForm
from controller.domain.shutdown.workloads import Workload

Wanting = tuple[WorkloadFinding, Fix]


def patches_text(survey: ShutdownSurvey, form: PatchForm = PatchForm.kubectl) -> str:
    """Return what fixes each workload, and a comment where a person has to edit; empty where nothing is wanting."""
    wanting = [(finding, finding.fix) for finding in survey.findings if finding.fix is not None]
    return "".join(f"{line}\n" for line in _FORMS[form](wanting))


def patch_line(workload: Workload, patch: Any) -> str:
    """Quote a line for a shell, which nothing in the patch or in a name can leave."""
    words = ["kubectl", "patch", workload.kind.lower(), workload.name, "-n", workload.namespace]
    return printable(shlex.join([*words, "--type", "strategic", "-p", json.dumps(patch, separators=(",", ":"))]))


def _kubectl(wanting: Sequence[Wanting]) -> Iterator[str]:
    """One line for a shell for each workload: it starts a rollout."""
    for finding, fix in wanting:
        yield _comment(finding, fix)
        if fix.patch is not None:
            yield patch_line(finding.workload, fix.patch)


def _kustomize(wanting: Sequence[Wanting]) -> Iterator[str]:
    """One document for each namespace: the list ``patches`` of the overlay that renders its workloads."""
    grouped = groupby(sorted(wanting, key=_namespace_of), key=_namespace_of)
    for number, (namespace, group) in enumerate(grouped):
        findings = list(group)
        if number:
            yield "---"
        yield printable(f"# namespace {namespace}")
        if any(fix.patch is not None for _, fix in findings):
            yield "patches:"
        for finding, fix in findings:
            yield f"  {_comment(finding, fix)}"
            if fix.patch is not None:
                yield "  - patch: |-"
                yield from _yaml(_whole(finding.workload, fix.patch), indent=6)


def _namespace_of(one: Wanting) -> str:
    return one[0].workload.namespace


def _whole(workload: Workload, patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name the object that a patch is about, by which kustomize finds it."""
    version = "v1" if workload.kind == "ReplicationController" else "apps/v1"
    return {"apiVersion": version, "kind": workload.kind, "metadata": {"name": workload.name}, **patch}


def _helm(wanting: Sequence[Wanting]) -> Iterator[str]:
    """One document for each container: the values of most charts, and the fields of a pod template in any other."""
    number = 0
    for finding, fix in wanting:
        if fix.patch is None:
            yield _comment(finding, fix)
            continue
        spec = fix.patch["spec"]["template"]["spec"]
        for container in [*spec.get("containers", ()), *spec.get("initContainers", ())]:
            if number:
                yield "---"
            number += 1
            yield _comment(finding, fix)
            yield printable(f"# container {container['name']}")
            values = {"terminationGracePeriodSeconds": fix.grace_seconds, "lifecycle": container["lifecycle"]}
            yield from _yaml(values)


_FORMS: Mapping[PatchForm, Callable[[Sequence[Wanting]], Iterator[str]]] = {
    PatchForm.kubectl: _kubectl,
    PatchForm.kustomize: _kustomize,
    PatchForm.helm: _helm,
}


def _comment(finding: WorkloadFinding, fix: Fix) -> str:
    """Say what is wrong, in one line, whatever a name holds: the rest of it must not reach a shell, nor a YAML file."""
    head = f"# {finding.workload.kubectl_name}: {finding.verdict_text}"
    return printable(f"{head}; {fix.by_hand}" if fix.patch is None else head)


def _yaml(content: Mapping[str, Any], *, indent: int = 0) -> Iterator[str]:
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=False)
    for line in text.splitlines():
        yield " " * indent + line
