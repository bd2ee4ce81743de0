"""One verdict a workload: whether its pods serve until nobody calls them any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.domain.annotations import AnnotationError, annotated_window, is_enabled, read_annotations
from controller.domain.routing import Routing, regions_of
from controller.domain.shutdown.fix import Fix, make_fix
from controller.domain.shutdown.hook_course import EXITS
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.shutdown.serving import (
    KNOWN_PROXIES,
    MIN_SIGTERM_SECONDS,
    ContainerShutdown,
    container_shutdowns,
    serving_containers,
    whole_seconds_up,
)
from controller.domain.shutdown.window import Window, Windows
from controller.domain.shutdown.workloads import Revisions, Template, Workload, newest_of, templates_of, workload_of


class WindowCoverage(StrEnum):
    """What is said of a workload, the worst first."""

    too_short = "too short"
    unjudged = "cannot be judged"
    enough = "long enough"
    left_out = "not applicable"


_RANK = {verdict: rank for rank, verdict in enumerate(WindowCoverage)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFinding:
    """What was found out about one workload."""

    workload: Workload
    verdict: WindowCoverage
    why: str
    pods: int
    """Those that the verdict is about: living ones of the newest template."""
    app: str = ""
    """Its Eureka app, as the pod tells it; only the window depends on it."""
    window: Window | None = None
    grace_seconds: int | None = None
    stays_seconds: int | None = None
    """From the request to delete it to the end of serving, for certain; no longer than the grace period."""
    short_by_seconds: int = 0
    containers: tuple[str, ...] = ()
    """Those that serve."""
    advice: tuple[str, ...] = ()
    fix: Fix | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownSurvey:
    """What one look at a cluster's pods found, the worst first."""

    findings: tuple[WorkloadFinding, ...]
    usual: Window
    """Of apps that have none of their own."""
    doubts: tuple[str, ...] = ()
    """What could not be asked, and what was believed instead."""

    def of(self, verdict: WindowCoverage) -> list[WorkloadFinding]:
        """The findings with this verdict."""
        return [finding for finding in self.findings if finding.verdict is verdict]


def by_workload(pods: Iterable[PodDetails]) -> dict[Workload, list[PodDetails]]:
    """The pods of each workload."""
    found: dict[Workload, list[PodDetails]] = {}
    for pod in pods:
        found.setdefault(workload_of(pod), []).append(pod)
    return found


def living_templates(pods: Iterable[PodDetails]) -> list[Template]:
    """The templates of the pods that a verdict can be about. With more than one, their owners know the newest."""
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
    """Why nothing is said about this pod; empty when something is."""
    if pod.mirror or (pod.pod.owner is not None and pod.pod.owner.kind == "Node"):
        return "a static pod: its node's kubelet has it from a file"
    if pod.pod.owner is not None and pod.pod.owner.kind == "Job":
        return "a Job's pods end by themselves: no preStop hook runs then"
    try:
        if not is_enabled(pod.pod):
            return 'eureka.drain/enabled is "false"'
    except AnnotationError:
        pass  # the drain of such a pod is refused; how long it stays can be told all the same
    if pod.pod.finished:
        return "it has ended: no preStop hook runs when a pod completes or fails"
    if pod.pod.terminating:
        return "it is being deleted already"
    return "" if pod.containers else "it has no containers"


def check_pod(workload: Workload, pod: PodDetails, windows: Windows, routing: Routing) -> WorkloadFinding:
    """Judge a pod by its serving containers: all of them must go on for the whole window."""
    app, port, regions, trouble = _told_of_itself(pod, routing)
    window = windows.of(app, *regions, said=annotated_window(pod.pod))
    needed = window.length.total_seconds()
    stays = container_shutdowns(pod)
    counting = serving_containers(stays, port)
    wanting = [stay for stay in counting if stay.at_least < needed]
    short = [stay for stay in wanting if stay.at_most < needed]
    decisive = min(short, key=_bounds) if short else min(wanting or counting, key=lambda stay: stay.at_least)
    verdict = WindowCoverage.too_short if short else WindowCoverage.unjudged if wanting else WindowCoverage.enough
    return WorkloadFinding(
        workload=workload,
        verdict=verdict,
        why=_why(decisive, needed, alone=len(pod.containers) == 1),
        pods=1,
        app=app,
        window=window,
        grace_seconds=pod.grace_seconds,
        stays_seconds=int(decisive.at_least),
        short_by_seconds=whole_seconds_up(needed - min(stay.at_most for stay in short)) if short else 0,
        containers=tuple(stay.container.name for stay in counting),
        advice=tuple(dict.fromkeys([*_advice(stays, counting, needed), *_of_its_place(pod, port), *trouble])),
        fix=make_fix(workload, wanting, window, grace_seconds=pod.grace_seconds) if wanting else None,
    )


def _bounds(stay: ContainerShutdown) -> tuple[float, float]:
    return stay.at_most, stay.at_least


def _told_of_itself(pod: PodDetails, routing: Routing) -> tuple[str, int | None, tuple[str, ...], list[str]]:
    """Its app, its port, its regions, and what is wrong with its annotations."""
    try:
        is_enabled(pod.pod)
        annotations = read_annotations(pod.pod)
        regions = regions_of(pod.pod, routing)
    except AnnotationError as error:
        return pod.pod.app_label.upper(), None, (), [f"{error}: the controller refuses to drain such a pod"]
    return annotations.app or pod.pod.app_label.upper(), annotations.port, regions, []


def _why(stay: ContainerShutdown, needed: float, *, alone: bool) -> str:
    told = hook_text(stay)
    if stay.grace_seconds < needed:
        told += f"; its grace period is over after {stay.grace_seconds} s"
    return told if alone else f"{stay.container.name}: {told}"


def hook_text(stay: ContainerShutdown) -> str:
    """What a container's hook does, in words."""
    course, kind = stay.reading.course, stay.reading.kind
    if stay.unknown:
        told = f"{f'its {kind} hook' if course.unknown else 'it'} {stay.unknown}, which cannot be judged"
        if course.seconds > 0:
            told += f"; before that it waits {_seconds(course.seconds)}"
    elif kind == "none" and not stay.hook_seconds:
        told = "it has no preStop hook"
    elif not stay.hook_seconds:
        told = course.notes[0] if course.notes else f"its {kind} hook waits for nothing"
    elif stay.hook_seconds > course.seconds:
        told = f"it ends after the others, which wait {_seconds(stay.hook_seconds)}"
    else:
        told = f"its {kind} hook waits {_seconds(stay.hook_seconds)}"
    return told


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 10**9 else "without end"


def _advice(stays: Sequence[ContainerShutdown], counting: Sequence[ContainerShutdown], needed: float) -> list[str]:
    found = []
    for stay in counting:
        name, course = stay.container.name, stay.reading.course
        if stay.reading.sets_status:
            found.append(
                f"the hook of {name} takes the instance out of service itself: the controller does that now, at every "
                "node, and reads it back; only the waiting has to stay (docs/migrating.md)"
            )
        found += [f"{name}: {note}" for note in course.notes]
        if course.over and course.over != EXITS:
            found.append(f"{name}: {course.over}; what its hook does afterwards is not counted")
        if stay.cut_off:
            found.append(
                f"the hook of {name} uses up the grace period of {stay.grace_seconds} s: its rest is cut off, and "
                f"the application gets {MIN_SIGTERM_SECONDS} s between SIGTERM and SIGKILL"
            )
    for stay in stays:
        if stay not in counting and stay.container.name in KNOWN_PROXIES and stay.at_least < needed:
            found.append(
                f"{stay.container.name} may get its SIGTERM after {_seconds(stay.at_least)}, and calls through it may "
                "end then: make it a native sidecar, or let it wait as long as the application"
            )
    return found


def _of_its_place(pod: PodDetails, port: int | None) -> list[str]:
    facts = pod.pod
    if not facts.host_network or port or facts.ports or "instance-id" in facts.annotations:
        return []
    return [
        "it is on its node's network and declares no port: the controller cannot tell its instance from its "
        "neighbours' (eureka.drain/port)"
    ]
