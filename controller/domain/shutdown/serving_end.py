"""When a terminating pod ended serving, and what ended it. Pure, from what the API server reports of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.domain.annotations import AnnotationError, read_annotations
from controller.domain.causes import NODE_LOST
from controller.domain.gone import TIME_RESOLUTION
from controller.domain.shutdown.pod_details import ContainerEnd, PodDetails
from controller.domain.shutdown.pod_end import EndCause
from controller.domain.shutdown.serving import (
    MIN_SIGTERM_SECONDS,
    ContainerShutdown,
    container_shutdowns,
    serving_containers,
)

DEADLINE_TOLERANCE = timedelta(seconds=10)
"""After its deadline: by then its node has removed a pod's object, unless it was away."""
KILLED = "OOMKilled"
BY_NODE = "TerminationByKubelet"
"""The one disruption that ends a pod; the others ask for its deletion, and its containers end as after any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingEnd:
    """The end of a pod's serving."""

    at: datetime
    end_cause: EndCause
    why: str


_Reason = tuple[EndCause, str]
_FORCED: _Reason = EndCause.killed, "it was deleted by force, without a grace period"


def serving_end(pod: PodDetails, *, removed_at: datetime | None = None) -> ServingEnd | None:
    """Return how it ended; None while it serves, or when that cannot be known.

    The first of its serving containers to end decides. ``removed_at``: when its object was gone, if a watch saw that;
    it is the end where its node reported none before. What a pod did while its node was away is not known.
    """
    serving = {one.container.name: one for one in serving_containers(container_shutdowns(_as_deleted(pod)), _port(pod))}
    ends = [end for end in pod.ends if end.name in serving]
    since_at = pod.pod.deletion_asked_at
    if since_at is None and not pod.pod.finished:
        if removed_at is None:
            return None  # its node is lost: it may serve or not
        since_at = removed_at
    late = [end for end in ends if since_at is None or not _is_before(end, since_at)]
    if late:
        end = min(late, key=lambda end: end.finished_at)
    elif ends and (len(ends) == len(serving) or pod.pod.finished):
        end = max(ends, key=lambda end: end.finished_at)  # all had ended before the request
    elif pod.pod.finished and pod.pod.finished_at is not None:
        return _ending(pod.pod.finished_at, _by_itself(pod, None))
    elif removed_at is not None and not _is_node_away(pod, removed_at):
        first = min(serving.values(), key=lambda one: one.at_least, default=None)
        return _ending(removed_at, _removed(pod, first, removed_at))
    else:
        return None
    return _ending(end.finished_at, _reason(pod, serving[end.name], end))


def _is_node_away(pod: PodDetails, removed_at: datetime) -> bool:
    deadline = pod.pod.deletion_at
    return pod.pod.disruption in NODE_LOST or (deadline is not None and removed_at - deadline > DEADLINE_TOLERANCE)


def _ending(at: datetime, reason: _Reason) -> ServingEnd:
    return ServingEnd(at=at, end_cause=reason[0], why=reason[1])


def _port(pod: PodDetails) -> int | None:
    try:
        return read_annotations(pod.pod).port
    except AnnotationError:
        return None


def _is_before(end: ContainerEnd, since_at: datetime) -> bool:
    """Return whether it had ended at the request; as a difference, for a time may be the oldest there is."""
    return end.finished_at - since_at <= -TIME_RESOLUTION


def _as_deleted(pod: PodDetails) -> PodDetails:
    """Return it with the grace period that its deletion has given it, where that is longer than its own."""
    return replace(pod, grace_seconds=max(pod.grace_seconds, pod.pod.grace_seconds)) if pod.pod.terminating else pod


def _reason(pod: PodDetails, shutdown: ContainerShutdown, end: ContainerEnd) -> _Reason:
    facts, since_at = pod.pod, pod.pod.deletion_asked_at
    if end.reason == KILLED:
        return EndCause.killed, f"{end.name} was killed ({KILLED})"
    if since_at is None and not facts.finished:
        return _FORCED
    if since_at is None or _is_before(end, since_at):
        return _by_itself(pod, end)
    # A node's own deletion, when all is over, has no grace period: then the one that it had is not known.
    lasted = max((end.finished_at - since_at).total_seconds(), 0.0)
    grace = facts.grace_seconds or pod.grace_seconds
    if _is_shortened(pod, shutdown, grace):
        return EndCause.grace, _shortened(pod, grace)
    if lasted < shutdown.at_least - MIN_SIGTERM_SECONDS:
        failed = "" if shutdown.reading.kind in ("none", "sleep") else ", or its hook had failed"
        return EndCause.by_itself, f"{_by_itself(pod, end)[1]} after {lasted:.0f} s, while its hook was waiting{failed}"
    return _as_hooked(shutdown)


def _removed(pod: PodDetails, shutdown: ContainerShutdown | None, removed_at: datetime) -> _Reason:
    """Return why it ended whose object was gone before its node had reported the end of a container."""
    facts, since_at = pod.pod, pod.pod.deletion_asked_at
    if since_at is None or facts.grace_seconds == 0:
        return _FORCED
    if shutdown is None:
        return EndCause.unknown, ""
    if _is_shortened(pod, shutdown, facts.grace_seconds):
        return EndCause.grace, _shortened(pod, facts.grace_seconds)
    lasted = max((removed_at - since_at).total_seconds(), 0.0)
    if lasted < shutdown.at_least - MIN_SIGTERM_SECONDS:  # by clocks that may differ a little
        return EndCause.killed, f"it was deleted by force after {lasted:.0f} s of its grace period"
    return _as_hooked(shutdown)


def _is_shortened(pod: PodDetails, shutdown: ContainerShutdown, grace: int) -> bool:
    return grace < pod.grace_seconds and bool(shutdown.hook_seconds >= grace or shutdown.unknown)


def _shortened(pod: PodDetails, grace: int) -> str:
    return f"it was deleted with a grace period of {grace} s instead of its {pod.grace_seconds} s"


def _as_hooked(shutdown: ContainerShutdown) -> _Reason:
    text = shutdown.hook_text
    if shutdown.is_cut_off:
        return EndCause.grace, f"{text}; its grace period is over after {shutdown.grace_seconds} s"
    return EndCause.hook if shutdown.reading.kind != "none" else EndCause.no_hook, text


def _by_itself(pod: PodDetails, end: ContainerEnd | None) -> _Reason:
    disruption = pod.pod.disruption
    if disruption == BY_NODE or (disruption and pod.pod.deletion_asked_at is None):
        return EndCause.killed, f"its node ended it ({disruption})"
    who = end.name if end is not None and len(pod.containers) > 1 else "it"
    return EndCause.by_itself, f"{who} ended by itself" + (f" (exit code {end.exit_code})" if end is not None else "")
