"""``doctor --pods``: whether the cluster's pods serve until nobody calls them any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.app.assembly import routing_of, windows_of
from controller.domain.shutdown.findings import ShutdownSurvey, by_workload, living_templates, survey_workloads
from controller.domain.shutdown.opted_in import component_notes
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.workloads import Workload
from controller.errors import KubernetesError
from controller.kube.client import KubeApi
from controller.kube.listing import list_details, list_whole
from controller.kube.namespace_decoder import decode_namespace
from controller.kube.owner_revisions import read_revisions
from controller.settings import Settings


async def survey_pods(settings: Settings) -> ShutdownSurvey:
    """List the pods that are watched, and compare their workloads with the window.

    KubernetesError unless every list is complete. Needs the verb list on pods. With get on replicasets and statefulsets
    the newest template is known during a rollout; without it, the pods' ages decide. With list on namespaces the
    components that these have are known.
    """
    async with KubeApi() as api:
        workloads = by_workload(await list_details(api, settings.watch))
        revisions, doubts = await _revisions(api, workloads)
        notes, doubt = await _component_notes(api, settings, frozenset(one.namespace for one in workloads))
    windows = windows_of(settings.window)
    return ShutdownSurvey(
        findings=tuple(survey_workloads(workloads, windows, revisions, routing_of(settings))),
        usual=windows.usual,
        notes=notes,
        doubts=(*doubts, *doubt),
    )


async def _component_notes(
    api: KubeApi, settings: Settings, in_use: frozenset[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ask the namespaces which components they have; return what is to be said of them, and what is in doubt."""
    try:
        listing = await list_whole(api, "/api/v1/namespaces", settings.watch.page_size, decode_namespace)
    except KubernetesError as error:
        return (), (f"whether drain-window and eureka-clients fit each other was not looked at: {error}",)
    return component_notes(listing.items, in_use), ()


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
