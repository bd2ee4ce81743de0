"""What makes a workload's pods serve long enough: the numbers, and the patch where one can be made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.domain.shutdown.pod_details import DEFAULT_GRACE_SECONDS
from controller.domain.shutdown.serving import ContainerShutdown, whole_seconds_up
from controller.domain.shutdown.window import Window
from controller.domain.shutdown.workloads import Workload

PATCHABLE_KINDS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"}
"""Kinds that hold a pod's template in ``spec.template`` and take a strategic merge patch."""
_ON_A_COMMAND_LINE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What to change: ``patch`` or ``by_hand``, never both."""

    sleep_seconds: int
    """How long each serving container's hook has to wait: the window."""
    grace_seconds: int
    """``terminationGracePeriodSeconds``: the window, and what the application had after its hook until now."""
    patch: Mapping[str, Any] | None = None
    """A strategic merge patch of the workload."""
    by_hand: str = ""
    """Why there is no patch, and what has to be changed."""


def make_fix(workload: Workload, short: Sequence[ContainerShutdown], window: Window, *, grace_seconds: int) -> Fix:
    """Make a fix for the containers (at least one) that do not serve long enough for certain."""
    sleep = window.whole_seconds
    # How much of its grace period a hook uses that cannot be judged is not known.
    left = (
        0
        if any(one.unknown for one in short)
        else grace_seconds - min(whole_seconds_up(one.hook_seconds) for one in short)
    )
    grace = max(sleep + max(left, DEFAULT_GRACE_SECONDS), grace_seconds)
    if why := _by_hand(workload, short):
        by_hand = f"{why}: its hook has to wait {sleep} s, and terminationGracePeriodSeconds has to be {grace}"
        return Fix(sleep_seconds=sleep, grace_seconds=grace, by_hand=by_hand)
    return Fix(sleep_seconds=sleep, grace_seconds=grace, patch=_patch(short, sleep, grace))


def _by_hand(workload: Workload, short: Sequence[ContainerShutdown]) -> str:
    names = [workload.namespace, workload.name, *(one.container.name for one in short)]
    if workload.kind == "Pod":
        return "no workload owns this pod, and the hook of a pod cannot be changed; create it again"
    if workload.kind not in PATCHABLE_KINDS:
        return f"change the pod's template where this {workload.kind} has it"
    if not all(_ON_A_COMMAND_LINE.fullmatch(name) for name in names):
        return "its names cannot be written on a command line; edit it by hand"
    for one in short:
        hook = f"the {one.reading.kind} hook of {one.container.name}"
        if one.reading.unknown:
            return f"what {hook} does cannot be judged; look at it by hand"
        if one.unknown:
            return f"{one.container.name} {one.unknown}; look at them by hand"
        if not one.only_waits:
            return f"{hook} does more than wait; edit it by hand"
    return ""


def _patch(short: Sequence[ContainerShutdown], sleep: int, grace: int) -> Mapping[str, Any]:
    """Compose it: containers are merged by name, and a hook of another kind is removed, for a hook has one kind."""
    spec: dict[str, Any] = {"terminationGracePeriodSeconds": grace}
    for one in short:
        hook: dict[str, Any] = {"sleep": {"seconds": sleep}}
        if one.reading.kind not in ("none", "sleep"):
            hook[one.reading.kind] = None
        where = "initContainers" if one.container.native_sidecar else "containers"
        spec.setdefault(where, []).append({"name": one.container.name, "lifecycle": {"preStop": hook}})
    return {"spec": {"template": {"spec": spec}}}
