"""Builders for the tests of how long pods serve: a pod with hooks, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from controller.domain.pods import Owner
from controller.domain.routing import Routing
from controller.domain.shutdown.findings import ShutdownSurvey, WorkloadFinding, by_workload, survey_workloads
from controller.domain.shutdown.hooks import HookReading, read_hook
from controller.domain.shutdown.pod_details import Container, Exec, Hook, PodDetails
from controller.domain.shutdown.window import Window, Windows
from controller.domain.shutdown.workloads import Revisions
from tests.unit.building import a_pod

USUAL = Window(
    server_cache=timedelta(seconds=30), client_fetch=timedelta(seconds=30), load_balancer=timedelta(seconds=35)
)
WINDOWS = Windows(USUAL)
ROUTING = Routing(cluster="default", known=("eu",), default=("eu",), namespaces={})


def shell(text: str) -> Exec:
    """A hook as people write it."""
    return Exec(("/bin/sh", "-c", text))


def reading(*command: str) -> HookReading:
    """What is read out of an exec hook."""
    return read_hook(Exec(command))


def an_owner(kind: str, name: str, api_version: str = "apps/v1") -> Owner:
    return Owner(api_version=api_version, kind=kind, name=name, uid=f"uid-of-{name}")


def pod_details(
    hook: Hook = None,
    *more: Container,
    uid: str = "uid-1",
    grace: int = 30,
    template: str = "7cd9c4fbcc",
    facts: dict[str, Any] | None = None,
    **others: Any,
) -> PodDetails:
    """A pod of the Deployment ``shop/orders`` whose container ``main`` has this hook."""
    owner = an_owner("ReplicaSet", f"orders-{template}")
    pod = a_pod(uid, **{"name": f"orders-{template}-{uid}", "owner": owner, **(facts or {})})
    main = Container(name="main", hook=hook, ports=(8080,))
    return PodDetails(
        **{"pod": pod, "containers": (main, *more), "grace_seconds": grace, "template": template, **others}
    )


def owned(pod: PodDetails, kind: str, name: str) -> PodDetails:
    """The same, of another owner."""
    return replace(pod, pod=replace(pod.pod, owner=an_owner(kind, name)))


def findings(
    pods: Sequence[PodDetails], *, windows: Windows = WINDOWS, revisions: Revisions | None = None
) -> list[WorkloadFinding]:
    """What is found of them."""
    return survey_workloads(by_workload(pods), windows, revisions or {}, ROUTING)


def finding(*pods: PodDetails, windows: Windows = WINDOWS, revisions: Revisions | None = None) -> WorkloadFinding:
    """What is found of the only workload."""
    (one,) = findings(pods, windows=windows, revisions=revisions)
    return one


def looked(*pods: PodDetails, windows: Windows = WINDOWS, doubts: tuple[str, ...] = ()) -> ShutdownSurvey:
    """What one look finds at these pods."""
    return ShutdownSurvey(findings=tuple(findings(pods, windows=windows)), usual=windows.usual, doubts=doubts)
