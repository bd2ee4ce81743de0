"""When a pod that is going ended serving, and what ended it just then. Pure, from what the API server said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.decide import asked_at
from controller.domain.hints import HintError, read_hints
from controller.domain.pod_end import Cut
from controller.domain.stay.findings import hook_told
from controller.domain.stay.pods import ContainerEnd, StayPod
from controller.domain.stay.serving import SHORTEST_END, Stay, serving, stays_of

COARSE = timedelta(seconds=1)
"""The API's times are whole seconds, cut off."""
KILLED = "OOMKilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a pod's serving."""

    at: datetime
    cut: Cut
    why: str


_Reason = tuple[Cut, str]


def ending_of(pod: StayPod, *, removed_at: datetime | None = None) -> Ending | None:
    """Tell how it ended; None while it serves, or when nobody can say.

    The first of its serving containers to end decides. ``removed_at``: when its object was gone, which is the end where
    its node told of none before.
    """
    stays = {stay.container.name: stay for stay in serving(stays_of(pod), _port(pod))}
    ends = [end for end in pod.ends if end.name in stays]
    since_at = _since(pod)
    late = [end for end in ends if since_at is None or end.finished_at > since_at - COARSE]
    if late:
        end = min(late, key=lambda end: end.finished_at)
    elif ends and (len(ends) == len(stays) or pod.pod.finished):
        end = max(ends, key=lambda end: end.finished_at)  # all had ended before anybody asked
    elif pod.pod.finished and pod.pod.finished_at is not None:
        return _ending(pod.pod.finished_at, _by_itself(pod, None))
    elif removed_at is not None:
        return _ending(removed_at, _reason(pod, next(iter(stays.values()), None), None))
    else:
        return None
    return _ending(end.finished_at, _reason(pod, stays[end.name], end))


def _ending(at: datetime, reason: _Reason) -> Ending:
    return Ending(at=at, cut=reason[0], why=reason[1])


def _port(pod: StayPod) -> int | None:
    try:
        return read_hints(pod.pod).port
    except HintError:
        return None


def _since(pod: StayPod) -> datetime | None:
    """When its deletion was asked for."""
    if pod.pod.deletion_at is None:
        return None
    return asked_at(pod.pod.deletion_at, pod.pod.grace_seconds)


def _reason(pod: StayPod, stay: Stay | None, end: ContainerEnd | None) -> _Reason:
    facts, since_at = pod.pod, _since(pod)
    if end is not None and end.reason == KILLED:
        return Cut.killed, f"{end.name} was killed ({KILLED})"
    if since_at is None and facts.finished:
        return _by_itself(pod, end)
    if since_at is None or facts.grace_seconds == 0:
        return Cut.killed, "it was deleted by force, without a grace period"
    if end is not None and end.finished_at <= since_at - COARSE:
        return _by_itself(pod, end)
    if stay is None:
        return Cut.unknown, ""
    grace = facts.grace_seconds
    if grace < pod.grace_seconds and (stay.hook_seconds >= grace or stay.unknown):
        return Cut.grace, f"it was deleted with a grace period of {grace} s instead of its {pod.grace_seconds} s"
    if end is not None and (end.finished_at - since_at).total_seconds() < stay.at_least - SHORTEST_END:
        lasted = (end.finished_at - since_at).total_seconds()
        return Cut.by_itself, f"{_by_itself(pod, end)[1]} after {lasted:.0f} s, while its hook was waiting"
    told = hook_told(stay)
    if stay.cut_off:
        return Cut.grace, f"{told}; its grace period is over after {stay.grace_seconds} s"
    return Cut.hook if stay.reading.kind != "none" else Cut.no_hook, told


def _by_itself(pod: StayPod, end: ContainerEnd | None) -> _Reason:
    if pod.pod.disruption:
        return Cut.killed, f"its node ended it ({pod.pod.disruption})"
    who = end.name if end is not None and len(pod.containers) > 1 else "it"
    return Cut.by_itself, f"{who} ended by itself" + (f" (exit code {end.exit_code})" if end is not None else "")
