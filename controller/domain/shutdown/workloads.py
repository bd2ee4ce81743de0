"""Whose pods they are, read from the pods themselves, and which of a workload's templates is the newest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controller.domain.shutdown.pod_details import PodDetails

_OF_A_CRON_JOB = re.compile(r"(.+)-\d{8,10}")
"""A CronJob names its Jobs after itself and the minute that they were due."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """What a person would change so that its pods change."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}"

    @property
    def kubectl_name(self) -> str:
        """Its name as one types it: ``shop/deployment/orders``."""
        return f"{self.namespace}/{self.kind.lower()}/{self.name}"


def workload_of(pod: PodDetails) -> Workload:
    """Return the end of the pod's chain of owners, as far as names show it; the pod itself when nothing controls it."""
    namespace, owner = pod.pod.namespace, pod.pod.owner
    if owner is None:
        return Workload(namespace, "Pod", pod.pod.name)
    if owner.kind == "ReplicaSet" and pod.template and owner.name.endswith(f"-{pod.template}"):
        kind = "Rollout" if pod.rollout else "Deployment"
        return Workload(namespace, kind, owner.name.removesuffix(f"-{pod.template}"))
    if owner.kind == "Job" and (due := _OF_A_CRON_JOB.fullmatch(owner.name)) is not None:
        return Workload(namespace, "CronJob", due[1])
    return Workload(namespace, owner.kind, owner.name)


@dataclass(slots=True)
class Template:
    """The pods that were made from one template of a workload."""

    hash: str
    pods: list[PodDetails] = field(default_factory=list)

    @property
    def made_by(self) -> str:
        """Return the name of the owner of its pods: a Deployment has a ReplicaSet for each template."""
        owner = self.pods[0].pod.owner
        return owner.name if owner else ""

    @property
    def newest_at(self) -> datetime:
        """Return when its youngest pod was created."""
        return max((pod.pod.created_at or _LONG_AGO for pod in self.pods), default=_LONG_AGO)

    @property
    def generation(self) -> int:
        """Return the largest one of its pods."""
        return max((pod.generation for pod in self.pods), default=0)


def templates_of(pods: Iterable[PodDetails]) -> list[Template]:
    """Gather one workload's pods under their templates."""
    found: dict[str, Template] = {}
    for pod in pods:
        found.setdefault(pod.template, Template(pod.template)).pods.append(pod)
    return list(found.values())


Revisions = Mapping[tuple[Workload, str], int]
"""How new templates are by their owners, by workload and hash: the larger, the newer."""


def newest_of(workload: Workload, templates: Sequence[Template], revisions: Revisions) -> Template:
    """Return the newest template: by its owner, else by a DaemonSet's generation, else by its youngest pod."""
    return max(
        templates, key=lambda one: (revisions.get((workload, one.hash), -1), one.generation, one.newest_at, one.hash)
    )
