"""Which of the registry's candidates are the pod's instances, and why the others are left alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from controller.domain.addressing import unaddressable
from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand
from controller.domain.evidence import Strength, addresses_of, claim_of
from controller.domain.instances import Instance
from controller.domain.ownership import Foreign, Owned, TakenOver, Unsettled, ownership_of
from controller.domain.pods import Pod
from controller.domain.reason import Reason, ReasonCode

MAX_ADDRESS_LENGTH = 255
"""Characters; what a domain name may have."""
MAX_DOUBTED = 16
"""Of one pod that are kept in mind; who has more has none of them taken out while they are there."""
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
    missing: tuple[Reason, ...] = ()
    """The nodes that were not asked, and why: nothing can be concluded from what was not found."""


def resolve(
    command: DrainCommand, annotations: PodAnnotations, candidates: Iterable[Instance], holders: Sequence[Instance]
) -> Resolution:
    """Narrow the candidates by the pod's annotations, then decide whose each is.

    ``holders`` are all registrations under the candidates' ids, in any app: an override is keyed by id alone, so an id
    that also stands for somebody else cannot be touched.
    """
    own: dict[tuple[str, str], Instance] = {}
    rejected: dict[tuple[str, str], Rejected] = {}
    strangers = _strangers(command, annotations, holders)
    for instance in candidates:
        if not _is_meant(instance, annotations):
            continue
        reason = _why_not_addressable(instance) or _why_ambiguous(instance, strangers)
        if reason:
            rejected[instance.app, instance.id] = Rejected(instance=instance, reason=reason)
            continue
        match ownership_of(instance, command, annotations):
            case Owned() | Unsettled():
                own[instance.app, instance.id] = instance
            case Foreign() | TakenOver() as other if not annotations.instance_id and _is_namesake(
                instance, command.pod, other
            ):
                continue  # no more than a namesake
            case Foreign(reason=reason) | TakenOver(reason=reason):
                rejected[instance.app, instance.id] = Rejected(instance=instance, reason=reason)
    for key, reason in _contradicted(own, command, annotations).items():
        rejected[key] = Rejected(instance=own.pop(key), reason=reason)
    if len(own) > MAX_INSTANCES:
        detail = f"the pod would own {len(own)} instances; more than {MAX_INSTANCES} is not believed"
        reason = Reason(code=ReasonCode.implausible, detail=detail)
        first = Rejected(instance=next(iter(own.values())), reason=reason)
        return Resolution(rejected=(*rejected.values(), first))
    # Nodes may show different holders of one id; before anything is written, each node is asked again.
    return Resolution(own=tuple(own.values()), rejected=tuple(one for key, one in rejected.items() if key not in own))


def _contradicted(
    own: Mapping[tuple[str, str], Instance], command: DrainCommand, annotations: PodAnnotations
) -> dict[tuple[str, str], Reason]:
    """Return which of them cannot be the pod's beside the others: one process of a pod holds a port.

    Of several at its address and one port, those that nothing else speaks for yield to those that fit the pod: pod
    networks of clusters overlap. The same holds for what shows at a port when the pod's own there, which was found
    before, has gone. Where no address speaks for any of them, nobody can say which one is the pod's, nor when one of
    them has deregistered itself since.
    """
    progress = command.progress
    found_apps = {app for app, _ in progress.found} if progress else set()
    found_ports = progress.found_ports if progress else ()
    doubted = progress.doubted if progress else ()
    claims = {key: claim_of(one, command.pod, annotations) for key, one in own.items()}
    holders = Counter(port for one in own.values() for port in set(one.ports))
    fitting = Counter(port for key, one in own.items() if claims[key].fits for port in set(one.ports))
    found = {}
    for key, one in own.items():
        if claims[key].strength >= Strength.pod_name:
            continue
        is_late = found_apps and one.app not in found_apps and not set(one.ports).isdisjoint(found_ports)
        if not claims[key].fits and (is_late or any(fitting[port] for port in one.ports)):
            detail = "another registration at its address and port fits the pod better"
            found[key] = Reason(code=ReasonCode.not_its_own, detail=detail)
        elif claims[key].strength is Strength.weak and (key in doubted or any(holders[port] > 1 for port in one.ports)):
            detail = "ambiguous: several have its host name and port, and none has its address"
            found[key] = Reason(code=ReasonCode.ambiguous, detail=detail)
    return found


def _is_namesake(instance: Instance, pod: Pod, ownership: Foreign | TakenOver) -> bool:
    """Return whether no more than a name links them: nobody wants to read of those."""
    if not addresses_of(instance).isdisjoint(pod.addresses):
        return False
    return isinstance(ownership, Foreign) or instance.host_name.lower() not in pod.host_names


def _is_meant(instance: Instance, annotations: PodAnnotations) -> bool:
    return (
        (not annotations.app or instance.app == annotations.app)
        and (not annotations.instance_id or instance.id == annotations.instance_id)
        and (annotations.port is None or instance.port in (0, annotations.port) or annotations.port in instance.ports)
    )


def _why_not_addressable(instance: Instance) -> Reason | None:
    for what, text in (("app", instance.app), ("instance id", instance.id)):
        if why := unaddressable(text):
            return Reason(code=ReasonCode.not_addressable, detail=f"not addressable: the {what} {text[:60]!r} {why}")
    if len(instance.ip) > MAX_ADDRESS_LENGTH or len(instance.host_name) > MAX_ADDRESS_LENGTH:
        detail = f"not believed: its address or host name is longer than {MAX_ADDRESS_LENGTH} characters"
        return Reason(code=ReasonCode.implausible, detail=detail)
    return None


def _strangers(
    command: DrainCommand, annotations: PodAnnotations, holders: Sequence[Instance]
) -> dict[str, dict[str, None]]:
    """Return the apps in which each id is not the pod's. Each holder is judged once: there may be hundreds."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for holder in holders:
        if not (
            isinstance(ownership_of(holder, command, annotations), Owned | Unsettled) or _is_over(holder, command.pod)
        ):
            found[holder.id][holder.app] = None
    return found


def _is_over(holder: Instance, pod: Pod) -> bool:
    """Return whether it is left of a pod that had the address before this one, and has not renewed since."""
    born_at, registered_at = pod.created_at, holder.registered_at
    if pod.host_network or born_at is None or registered_at is None or holder.renewed_at is None:
        return False
    was_there = not addresses_of(holder).isdisjoint(pod.addresses) and registered_at < born_at
    return was_there and not holder.has_renewed_since(born_at, timedelta(0))


def _why_ambiguous(instance: Instance, strangers: Mapping[str, Mapping[str, None]]) -> Reason | None:
    for app in islice(strangers.get(instance.id, {}), 2):
        if app != instance.app:
            detail = f"ambiguous: the id also lives in app {app[:60]!r}, where it is not the pod's"
            return Reason(code=ReasonCode.ambiguous, detail=detail)
    return None
