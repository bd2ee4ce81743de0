"""One finding for each workload: whether its pods serve until nobody calls them any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.domain.annotations import AnnotationError, annotated_window, is_enabled, read_annotations
from controller.domain.routing import Routing, regions_of
from controller.domain.shutdown.fix import Fix, make_fix
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.serving import (
    KNOWN_PROXIES,
    MIN_SIGTERM_SECONDS,
    ContainerShutdown,
    container_shutdowns,
    seconds_text,
    serving_containers,
    whole_seconds_up,
)
from controller.domain.shutdown.window import Window, Windows
from controller.domain.shutdown.workloads import Revisions, Template, Workload, newest_of, templates_of, workload_of


class WindowCoverage(StrEnum):
    """Whether a workload's pods serve for the whole window, the worst first."""

    too_short = "too short"
    not_judged = "cannot be judged"
    enough = "long enough"
    left_out = "not applicable"


_RANK = {coverage: rank for rank, coverage in enumerate(WindowCoverage)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFinding:
    """What was found out about one workload."""

    workload: Workload
    verdict: WindowCoverage
    why: str
    pods: int
    """How many it is about: living ones of the newest template."""
    app: str = ""
    """Its Eureka app by the pod's annotation or label; only the window depends on it."""
    window: Window | None = None
    grace_seconds: int | None = None
    serves_seconds: int | None = None
    """For certain, from the request to delete the pod to the end of serving; no longer than the grace period."""
    short_by_seconds: int = 0
    containers: tuple[str, ...] = ()
    """Those that serve."""
    advice: tuple[str, ...] = ()
    fix: Fix | None = None

    @property
    def verdict_text(self) -> str:
        """The verdict, and by how much: ``too short by 65 s``."""
        by = f" by {self.short_by_seconds} s" if self.short_by_seconds else ""
        return f"{self.verdict.value}{by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownSurvey:
    """What one look at a cluster's pods found, the worst first."""

    findings: tuple[WorkloadFinding, ...]
    usual: Window
    """Of apps that have none of their own."""
    notes: tuple[str, ...] = ()
    """What the components say in one namespace and not in another."""
    doubts: tuple[str, ...] = ()
    """What could not be asked, and what was assumed instead."""

    def of(self, verdict: WindowCoverage) -> list[WorkloadFinding]:
        """Return the findings with this verdict."""
        return [finding for finding in self.findings if finding.verdict is verdict]


def by_workload(pods: Iterable[PodDetails]) -> dict[Workload, list[PodDetails]]:
    """Gather pods under their workloads."""
    found: dict[Workload, list[PodDetails]] = {}
    for pod in pods:
        found.setdefault(workload_of(pod), []).append(pod)
    return found


def living_templates(pods: Iterable[PodDetails]) -> list[Template]:
    """Return the templates of the pods that can be judged. With more than one, their owners know the newest."""
    return templates_of(pod for pod in pods if not left_out(pod))


def survey_workloads(
    workloads: Mapping[Workload, Sequence[PodDetails]], windows: Windows, revisions: Revisions, routing: Routing
) -> list[WorkloadFinding]:
    """Judge every workload; the worst come first."""
    findings = []
    for workload, pods in workloads.items():
        templates = living_templates(pods)
        if templates:
            newest = newest_of(workload, templates, revisions).pods
            # Of one template, and yet not alike when something was injected into some of them only.
            worst = min((check_pod(workload, pod, windows, routing) for pod in newest), key=_order)
            findings.append(replace(worst, pods=len(newest)))
        else:
            why = left_out(pods[0])
            findings.append(
                WorkloadFinding(workload=workload, verdict=WindowCoverage.left_out, why=why, pods=len(pods))
            )
    return sorted(findings, key=lambda one: (_RANK[one.verdict], one.workload))


def _order(finding: WorkloadFinding) -> tuple[int, int]:
    return _RANK[finding.verdict], -finding.short_by_seconds


def left_out(pod: PodDetails) -> str:
    """Return why this pod is not judged; empty when it is."""
    if pod.mirror or (pod.pod.owner is not None and pod.pod.owner.kind == "Node"):
        return "a static pod: its node's kubelet has it from a file"
    if pod.pod.owner is not None and pod.pod.owner.kind == "Job":
        return "a Job's pods end by themselves: no preStop hook runs then"
    try:
        if not is_enabled(pod.pod):
            return 'eureka.drain/enabled is "false"'
    except AnnotationError:
        pass  # the drain of such a pod is refused; how long it serves can be judged all the same
    if pod.pod.finished:
        return "it has ended: no preStop hook runs when a pod completes or fails"
    if pod.pod.terminating:
        return "it is being deleted already"
    return "" if pod.containers else "it has no containers"


def check_pod(workload: Workload, pod: PodDetails, windows: Windows, routing: Routing) -> WorkloadFinding:
    """Judge a pod by its serving containers: all of them must go on for the whole window."""
    app, port, regions, problems = _annotated(pod, routing)
    window = windows.of(app, *regions, annotated=annotated_window(pod.pod))
    needed = window.length.total_seconds()
    shutdowns = container_shutdowns(pod)
    serving = serving_containers(shutdowns, port)
    wanting = [one for one in serving if one.at_least < needed]
    short = [one for one in wanting if one.at_most < needed]
    decisive = min(short, key=_bounds) if short else min(wanting or serving, key=lambda one: one.at_least)
    verdict = WindowCoverage.too_short if short else WindowCoverage.not_judged if wanting else WindowCoverage.enough
    return WorkloadFinding(
        workload=workload,
        verdict=verdict,
        why=_why(decisive, needed, alone=len(pod.containers) == 1),
        pods=1,
        app=app,
        window=window,
        grace_seconds=pod.grace_seconds,
        serves_seconds=int(decisive.at_least),
        short_by_seconds=whole_seconds_up(needed - min(one.at_most for one in short)) if short else 0,
        containers=tuple(one.container.name for one in serving),
        advice=tuple(dict.fromkeys([*_advice(shutdowns, serving, needed), *_network_advice(pod, port), *problems])),
        fix=make_fix(workload, wanting, window, grace_seconds=pod.grace_seconds) if wanting else None,
    )


def _bounds(shutdown: ContainerShutdown) -> tuple[float, float]:
    return shutdown.at_most, shutdown.at_least


def _annotated(pod: PodDetails, routing: Routing) -> tuple[str, int | None, tuple[str, ...], list[str]]:
    """Return its app, its port, its regions, and what is wrong with its annotations."""
    try:
        is_enabled(pod.pod)
        annotations = read_annotations(pod.pod)
        regions = regions_of(pod.pod, routing)
    except AnnotationError as error:
        return pod.pod.app_label.upper(), None, (), [f"{error}: the controller refuses to drain such a pod"]
    return annotations.app or pod.pod.app_label.upper(), annotations.port, regions, []


def _why(shutdown: ContainerShutdown, needed: float, *, alone: bool) -> str:
    text = shutdown.hook_text
    if shutdown.grace_seconds < needed:
        text += f"; its grace period is over after {shutdown.grace_seconds} s"
    return text if alone else f"{shutdown.container.name}: {text}"


def _advice(shutdowns: Sequence[ContainerShutdown], serving: Sequence[ContainerShutdown], needed: float) -> list[str]:
    found = []
    for one in serving:
        name, reading = one.container.name, one.reading
        if reading.sets_status:
            found.append(
                f"the hook of {name} takes the instance out of service itself: the controller does that now, at every "
                "node, and reads it back; only the waiting has to stay (docs/migrating.md)"
            )
        if reading.note:
            found.append(f"{name}: {reading.note}")
        if one.is_cut_off:
            found.append(
                f"the hook of {name} uses up the grace period of {one.grace_seconds} s: its rest is cut off, and "
                f"the application gets {MIN_SIGTERM_SECONDS} s between SIGTERM and SIGKILL"
            )
    found += [
        f"{one.container.name} may get its SIGTERM after {seconds_text(one.at_least)}, and calls through it may end "
        "then: make it a native sidecar, or let it wait as long as the application"
        for one in shutdowns
        if one not in serving and one.container.name in KNOWN_PROXIES and one.at_least < needed
    ]
    return found


def _network_advice(pod: PodDetails, port: int | None) -> list[str]:
    facts = pod.pod
    if not facts.host_network or port or facts.ports or "instance-id" in facts.annotations:
        return []
    return [
        "it is on its node's network and declares no port: the controller cannot distinguish its instance from its "
        "neighbours' (eureka.drain/port)"
    ]
