"""Which of the registry's candidates are the pod's instances, and why the others are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.domain.addressing import is_same_address, unaddressable
from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand
from controller.domain.instances import Instance
from controller.domain.ownership import Foreign, Owned, TakenOver, ownership_of
from controller.domain.reason import Reason, ReasonCode

MAX_ADDRESS_LENGTH = 255
"""Characters; what a domain name may have."""
MAX_INSTANCES = 64
"""A pod with more registrations than this is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A candidate that is left alone, and why."""

    instance: Instance
    reason: Reason

    @property
    def is_taken_over(self) -> bool:
        """Whether a newer process holds it."""
        return self.reason.code is ReasonCode.taken_over


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What was found: the pod's own instances, and what is left alone."""

    own: tuple[Instance, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def resolve(
    command: DrainCommand, annotations: PodAnnotations, candidates: Iterable[Instance], holders: Sequence[Instance]
) -> Resolution:
    """Narrow the candidates by the pod's annotations, then decide whose each is.

    ``holders`` are all registrations under the candidates' ids, in any app: an override is keyed by id alone, so an id
    that also stands for somebody else cannot be touched.
    """
    own: list[Instance] = []
    rejected: list[Rejected] = []
    for instance in candidates:
        if not _is_meant(instance, annotations):
            continue
        reason = _why_not_addressable(instance) or _why_ambiguous(instance, command, annotations, holders)
        if reason:
            rejected.append(Rejected(instance=instance, reason=reason))
            continue
        match ownership_of(instance, command, annotations):
            case Owned():
                own.append(instance)
            case Foreign() if not (annotations.instance_id or is_same_address(instance.ip, command.pod.ip)):
                continue  # no more than a namesake
            case Foreign(reason=reason) | TakenOver(reason=reason):
                rejected.append(Rejected(instance=instance, reason=reason))
    if len(own) > MAX_INSTANCES:
        detail = f"the pod would own {len(own)} instances; more than {MAX_INSTANCES} is not believed"
        reason = Reason(code=ReasonCode.implausible, detail=detail)
        return Resolution(rejected=(*rejected, Rejected(instance=own[0], reason=reason)))
    return Resolution(own=tuple(own), rejected=tuple(rejected))


def _is_meant(instance: Instance, annotations: PodAnnotations) -> bool:
    return (
        (not annotations.app or instance.app == annotations.app)
        and (not annotations.instance_id or instance.id == annotations.instance_id)
        and (annotations.port is None or instance.port in (0, annotations.port))
    )


def _why_not_addressable(instance: Instance) -> Reason | None:
    for what, text in (("app", instance.app), ("instance id", instance.id)):
        if why := unaddressable(text):
            return Reason(code=ReasonCode.not_addressable, detail=f"not addressable: the {what} {text[:60]!r} {why}")
    if len(instance.ip) > MAX_ADDRESS_LENGTH or len(instance.host_name) > MAX_ADDRESS_LENGTH:
        detail = f"not believed: its address or host name is longer than {MAX_ADDRESS_LENGTH} characters"
        return Reason(code=ReasonCode.implausible, detail=detail)
    return None


def _why_ambiguous(
    instance: Instance, command: DrainCommand, annotations: PodAnnotations, holders: Sequence[Instance]
) -> Reason | None:
    for other in holders:
        is_twin = other.id == instance.id and other.app != instance.app
        if is_twin and not isinstance(ownership_of(other, command, annotations), Owned):
            detail = f"ambiguous: the id also lives in app {other.app[:60]!r}, where it is not the pod's"
            return Reason(code=ReasonCode.ambiguous, detail=detail)
    return None
