"""When a pod ended, as its node reports it, and whether that is a proof."""

from __future__ import annotations

from datetime import datetime

from controller.domain.causes import NODE_LOST
from controller.domain.pods import Pod
from controller.kube.pod_object import PodObject, PodStatus

FINAL_PHASES = ("Failed", "Succeeded")


def finished_at(status: PodStatus, *, node_lost: bool) -> datetime | None:
    """Return when a pod in a final phase ended, as far as the API says so."""
    states = [container.state for container in status.container_statuses or () if container.state]
    if status.phase not in FINAL_PHASES or any(state.running for state in states):
        return None  # the control plane has written that phase, and nobody knows of an end
    ends = [state.terminated.finished_at for state in states if state.terminated and state.terminated.finished_at]
    if not ends and not node_lost:
        # An evicted pod may have no container statuses; its conditions changed when it ended.
        return unready_at(status)
    return max(ends, default=None)


def unready_at(status: PodStatus) -> datetime | None:
    """Return when it ceased to be ready: of a lost node's pod the control plane says so once the node is silent."""
    changed = [c.last_transition_time for c in status.conditions or () if c.type == "Ready" and c.status != "True"]
    return max((at for at in changed if at), default=None)


def proved_end(whole: PodObject, pod: Pod) -> datetime | None:
    """Return when all its containers had ended, unless its node may have started one again since."""
    ended_at, asked_at = _ended_at(whole), pod.deletion_asked_at
    if ended_at is None or pod.mirror or (pod.finished and pod.disruption not in NODE_LOST):
        return ended_at
    return ended_at if asked_at is not None and ended_at >= asked_at else None


def _ended_at(pod: PodObject) -> datetime | None:
    """Return when the last container ended; None while one has not, of those that run beside each other."""
    spec, status = pod.spec, pod.status
    sidecars = [one for one in spec.init_containers or () if one.restart_policy == "Always"]
    reported = {one.name: one for one in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))}
    states = [
        reported[one.name].state if one.name in reported else None for one in (*(spec.containers or ()), *sidecars)
    ]
    # Before these start, its init containers run, one after the other.
    states += [one.state for one in status.init_container_statuses or () if one.state and one.state.running]
    terminated = [state.terminated for state in states if state and state.terminated]
    if len(terminated) < len(states):
        return None
    # Of a container that it did not find any more, a node does not say when it ended.
    return max((one.finished_at for one in terminated if one.finished_at), default=None)
