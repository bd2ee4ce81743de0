"""``doctor --pods``: whether the cluster's pods serve until nobody calls them any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from controller.app.assembly import routing_of, windows_of
from controller.domain.shutdown.findings import (
    ShutdownSurvey,
    WindowCoverage,
    WorkloadFinding,
    by_workload,
    left_out,
    living_templates,
    survey_workloads,
)
from controller.domain.shutdown.node_shutdown import node_shutdown_notes
from controller.domain.shutdown.opted_in import FETCH_NOTE, Namespace, NamespaceUse, component_notes
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.workloads import Workload
from controller.errors import KubernetesError
from controller.kube.client import KubeApi
from controller.kube.kubelets import ask_kubelets
from controller.kube.listing import list_details, list_whole
from controller.kube.namespace_decoder import decode_namespace
from controller.kube.owner_revisions import read_revisions
from controller.settings import Settings


async def survey_pods(settings: Settings) -> ShutdownSurvey:
    """List the pods that are watched, and compare their workloads with the window.

    KubernetesError unless every list is complete. Needs the verb list on pods. With get on replicasets and statefulsets
    the newest template is known during a rollout; without it, the pods' ages decide. With list on namespaces the
    components that these have are known; with get on nodes/proxy, how long nodes that shut down let pods serve.
    """
    async with KubeApi() as api:
        pods = await list_details(api, settings.watch)
        workloads = by_workload(details for details, _ in pods)
        revisions, doubts = await _revisions(api, workloads)
        namespaces, doubt = await _namespaces(api, settings)
        lets, node_doubt = await ask_kubelets(api, (one.pod.node for one, _ in pods if not left_out(one)))
    windows = windows_of(settings.window)
    findings = survey_workloads(workloads, windows, revisions, routing_of(settings))
    return ShutdownSurvey(
        findings=tuple(findings),
        usual=windows.usual,
        notes=(
            *component_notes(namespaces.values(), _uses_of(namespaces, pods, findings)),
            *node_shutdown_notes(lets, windows.usual),
        ),
        doubts=(*doubts, *doubt, *node_doubt),
    )


async def _namespaces(api: KubeApi, settings: Settings) -> tuple[dict[str, Namespace], tuple[str, ...]]:
    """Ask the namespaces which components they have; return them by name, and what is in doubt."""
    try:
        listing = await list_whole(api, "/api/v1/namespaces", settings.watch.page_size, decode_namespace)
    except KubernetesError as error:
        return {}, (f"whether drain-window and eureka-clients fit each other was not looked at: {error}",)
    return {one.name: one for one in listing.items}, ()


def _uses_of(
    namespaces: Mapping[str, Namespace],
    pods: Iterable[tuple[PodDetails, int | None]],
    findings: Iterable[WorkloadFinding],
) -> dict[str, NamespaceUse]:
    """Say of each namespace with pods how many call by which caches, and whether any ends too early."""
    short = {one.workload.namespace for one in findings if one.verdict is WindowCoverage.too_short}
    found: dict[str, NamespaceUse] = {}
    for details, fetch_seconds in pods:
        name, pod = details.pod.namespace, details.pod
        before = found.setdefault(name, NamespaceUse(lacks_time=name in short))
        if details.mirror or pod.finished or pod.terminating or name not in namespaces:
            continue
        wanted = namespaces[name].age(FETCH_NOTE)
        is_slow = fetch_seconds is None or timedelta(seconds=fetch_seconds) > wanted
        found[name] = replace(before, pods=before.pods + 1, slow_pods=before.slow_pods + is_slow)
    return found


async def _revisions(
    api: KubeApi, workloads: Mapping[Workload, Sequence[PodDetails]]
) -> tuple[dict[tuple[Workload, str], int], list[str]]:
    """Ask the owners of workloads that have pods of several templates; return their revisions and what is in doubt."""
    found: dict[tuple[Workload, str], int] = {}
    doubts = {}
    for workload, pods in workloads.items():
        templates = living_templates(pods)
        if len(templates) < 2:
            continue
        try:
            revisions = await read_revisions(api, workload, templates)
        except KubernetesError as error:
            doubts[workload.kind] = (
                f"which template of {workload.namespace}/{workload.name} and of any other {workload.kind} in a rollout "
                f"is the newest was taken from the pods' ages: {error}"
            )
            continue
        found.update({(workload, template): revision for template, revision in revisions.items()})
    return found, list(doubts.values())
