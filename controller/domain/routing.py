"""Which regions a pod's drain goes to, and the command for each. Pure: the watch performs what is returned here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from controller.domain.annotations import AnnotationError, annotated_regions, is_enabled
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, drain_id
from controller.domain.gone import TIME_RESOLUTION, Gone
from controller.domain.pods import ANNOTATION_PREFIX, LivingPod, Pod
from controller.domain.reason import Reason, ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Which regions a namespace's pods register in."""

    cluster: str
    known: tuple[str, ...]
    default: tuple[str, ...]
    namespaces: Mapping[str, tuple[str, ...]]
    sends_to_others: bool = False
    """Whether a pod may name a region that the settings do not name."""

    @property
    def regions(self) -> frozenset[str]:
        """Every region that the settings name."""
        named = {*self.known, *self.default, *(name for names in self.namespaces.values() for name in names)}
        return frozenset(named - {"*"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A command for its region's queue."""

    command: DrainCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The pod asked for something that cannot be followed; nothing is sent to a worker."""

    command: DrainCommand
    reason: Reason


RoutingDecision = Publish | Refuse


def make_commands(
    pod: Pod,
    cause: Cause,
    observed_at: datetime,
    routing: Routing,
    living: tuple[LivingPod, ...] = (),
    gone: Gone | None = None,
) -> list[RoutingDecision]:
    """Compose a pod's drain: one command a region, a refusal with its reason, or nothing when it is switched off."""
    since_at, end_at = drain_period(pod, cause, observed_at)
    command = DrainCommand(
        drain_id=drain_id(routing.cluster, pod.uid, ""),
        cluster=routing.cluster,
        region="",
        cause=cause,
        pod=pod,
        observed_at=observed_at,
        since_at=since_at,
        end_at=end_at,
        gone_at=gone.at if gone else None,
        end_proved=gone is not None and gone.proved,
        living=living,
    )
    try:
        if not is_enabled(pod):
            return []
        regions = regions_of(pod, routing)
    except AnnotationError as error:
        return [Refuse(command=command, reason=error.reason)]
    return [
        Publish(command=replace(command, drain_id=drain_id(routing.cluster, pod.uid, region), region=region))
        for region in regions
    ]


def regions_of(pod: Pod, routing: Routing) -> tuple[str, ...]:
    """Return the regions in which the pod may have registered; AnnotationError when it asks for some that cannot be."""
    annotated = annotated_regions(pod)
    if not routing.sends_to_others:
        _refuse_others(annotated, routing)
    asked = annotated or routing.namespaces.get(pod.namespace) or routing.default
    regions = dict.fromkeys(region for name in asked for region in (routing.known if name == "*" else (name,)))
    if asked and not regions:
        text = "it asks for every region (*), and the watch's settings name none"
        raise AnnotationError(text, ReasonCode.no_region)
    return tuple(regions)


def _refuse_others(annotated: tuple[str, ...], routing: Routing) -> None:
    """Whoever may create a pod writes the annotation: commands for a region that nobody has would wait for nobody."""
    others = [name for name in annotated if name != "*" and name not in routing.regions]
    if others:
        text = (
            f"annotation {ANNOTATION_PREFIX}region={', '.join(others[:3])!r}: the watch's settings do not name it: "
            "add it to regions, or set routing.other_regions: send"
        )
        raise AnnotationError(text, ReasonCode.no_region)


def drain_period(pod: Pod, cause: Cause, observed_at: datetime) -> tuple[datetime, datetime]:
    """When the pod began to go, and when it is over at the latest.

    The API's times are whole seconds, cut off: one that lies less than a second before our own observation is taken
    to be that observation, so that latencies below a second can be measured. So is one that lies after it: nothing
    begins after it was seen, but a kubelet's clock, by which a pod has finished, may be minutes ahead.
    """
    asked_at = pod.deletion_asked_at
    if cause is Cause.terminating and asked_at is not None and pod.deletion_at is not None:
        since_at, end_at = asked_at, pod.deletion_at
    else:
        since_at = end_at = pod.finished_at or observed_at
        end_at = min(end_at, observed_at)
    if observed_at - since_at < TIME_RESOLUTION:
        since_at = observed_at
    return since_at, max(end_at, since_at)
