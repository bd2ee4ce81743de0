"""Why a pod is drained, and whether it is: read from the pod as the API server shows it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.pods import Pod

NODE_LOST = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})
"""Disruption reasons that mean that the node is gone. The others (eviction, preemption, the kubelet's own) announce a
deletion or a failure that follows at once and is seen as such, or does not follow, and then the pod lives on."""
MAX_FINISHED_AGE = timedelta(minutes=15)
"""A pod that ended before this is not drained when it is first seen: its lease is over (at most 240 s), and a cluster
keeps thousands of completed Jobs. What self-preservation kept of it is for the sweep to find."""


class Cause(StrEnum):
    """Why a pod is drained."""

    terminating = "terminating"
    deleted = "deleted"
    vanished = "vanished"
    failed = "failed"
    succeeded = "succeeded"
    node_lost = "node_lost"
    node_shutdown = "node_shutdown"
    """Its node says that it is shutting down: the pod runs for its grace period, and then fails."""
    asked = "asked"
    """A person asked for it: the pod itself lives."""


REVERSIBLE = frozenset({Cause.node_lost, Cause.node_shutdown})
"""Only the pod of a node that is lost, or shutting down, may live on; what terminates, or has ended, never does."""

MAY_LIVE_ON = REVERSIBLE | {Cause.asked}
"""The same, and the pod that a person has taken out of service by hand."""


def cause_of(pod: Pod) -> Cause | None:
    """Why a pod that the API server still holds should be drained; None while it lives."""
    if pod.deletion_at is not None and not pod.mirror:
        return Cause.terminating
    if pod.phase == "Failed":
        return Cause.failed
    if pod.phase == "Succeeded":
        return Cause.succeeded
    if pod.phase == "Unknown" or pod.disruption in NODE_LOST:
        return Cause.node_lost
    return None


def is_worth_draining(pod: Pod, now: datetime) -> bool:
    """Leave out what never ran, and what ended long ago."""
    return has_run(pod) and not (
        pod.finished and pod.finished_at is not None and now - pod.finished_at >= MAX_FINISHED_AGE
    )


def has_run(pod: Pod) -> bool:
    """Return whether it may be registered: under its address, or else under its name."""
    return pod.started or bool(pod.addresses)


def outlives_its_object(pod: Pod) -> bool:
    """Return whether its process runs on when its object goes: its node makes a new object for it."""
    return pod.mirror and not pod.finished and pod.ended_at is None
