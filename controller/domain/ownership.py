"""Whose is this registration? Asked before each write, with what the registry says at that moment.

The registry's override sticks to an id, not to a process: a write that meets a successor under the same id takes a live
instance out of service for good. ``evidence`` compares the registration with one pod; here it is compared with the pods
that live, and with the pod's time. Every doubt ends without a write.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Target
from controller.domain.evidence import Strength, Voice, claim_of, claim_of_living
from controller.domain.instances import Instance
from controller.domain.intervals import REPLICATION_TIMEOUT
from controller.domain.pods import LivingPod, Pod
from controller.domain.reason import Reason, ReasonCode

_IN_WORDS = frozenset(string.ascii_lowercase + string.digits)
CLOCK_SKEW = timedelta(seconds=30)
"""How much older than its pod a registration may look: a pod's clock, the cluster's and the registry's differ."""
END_TOLERANCE = timedelta(seconds=3)
"""How long after the pod's end something may look like its own doing: the API's times are whole seconds, and so is the
correction of the registry's clock. But a registration from then is in doubt: an address is used again at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The registration is the pod's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """It shows the pod's signs and was made after the pod's end: a node's copy of a dead one, or somebody else's.

    Only its heartbeats say which: a copy never has one.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """It is somebody else's, or nobody can say whose."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """A newer process holds it."""

    reason: Reason


Ownership = Owned | Unsettled | Foreign | TakenOver


def ownership_of(
    instance: Instance, command: DrainCommand, annotations: PodAnnotations, target: Target | None = None
) -> Ownership:
    """Decide from the evidence, the living pods that the watch knows, and times.

    ``target`` is what an earlier step noted about the same id.
    """
    pod, registered_at = command.pod, instance.registered_at
    claim = claim_of(instance, pod, annotations)
    if not claim.holds:
        newer = registered_at is not None and registered_at > command.since_at
        under_its_id = annotations.instance_id == instance.id or names_the_pod(instance.id, pod)
        return _taken_over(claim.why) if newer and under_its_id else _foreign(claim.why)
    unsettled = False
    for other in command.living:
        if claim.strength is Strength.address and _is_from_before_the_end(instance, command):
            continue  # whoever has the address by now got it after that
        match _rival(instance, other, claim.strength, target):
            case Voice.in_favour:
                return _taken_over(f"the living pod {other.namespace}/{other.name} holds its address or name")
            case Voice.silent:
                unsettled = True
            case Voice.against:
                pass
    if claim.strength >= Strength.pod_name:
        return Owned()
    # The kubelet makes a static pod's object after its process, and anew where somebody has deleted it.
    if not pod.mirror and _is_older(registered_at, pod.created_at):
        return _foreign("it was registered before the pod was created")
    if unsettled:
        return Unsettled()
    if registered_at is None or command.gone_at is None or registered_at <= command.gone_at:
        return Owned()
    if target is None or target.last_dirty_at is None or instance.dirty_at is None:
        return Unsettled()
    if target.last_dirty_at == instance.dirty_at:
        return Owned()  # the same process' registration, in another lease: a node has copied it
    return _taken_over("a process registered it after the pod's end")


def _rival(instance: Instance, other: LivingPod, strength: Strength, target: Target | None) -> Voice:
    """Return whether a registration is a living pod's rather than the drained one's; silent, where nobody can say.

    Both may show the same signs, as at an address that is used again. Then the registration that was proved before the
    other one came is still the drained pod's, and another one is not; else times decide, as far as clocks agree, and a
    heartbeat.
    """
    rival = claim_of_living(instance, other)
    if rival is not strength or rival >= Strength.pod_name:
        return Voice.in_favour if rival > strength or rival is strength else Voice.against
    if target is not None and target.dirty_at is not None and instance.dirty_at is not None:
        return Voice.against if target.dirty_at == instance.dirty_at else Voice.in_favour
    if _is_older(instance.registered_at, other.created_at):
        return Voice.against
    if instance.registered_at is None or other.created_at is None:
        return Voice.in_favour
    # A node that starts gives what it copies a lease of its own, also what a dead process has left. What it copies is
    # never renewed, but by what peers pass on late, and by a write of ours.
    is_written = target is not None and target.written_at is not None
    renews = not is_written and instance.has_renewed_since(instance.registered_at, REPLICATION_TIMEOUT)
    return Voice.in_favour if renews and instance.registered_at >= other.created_at else Voice.silent


def _is_from_before_the_end(instance: Instance, command: DrainCommand) -> bool:
    """Return whether it was registered at the pod's own address before the pod's proved end, whatever clocks say."""
    if command.pod.host_network or not command.end_proved or command.gone_at is None:
        return False
    return _is_older(instance.registered_at, command.gone_at)


def is_after_end(command: DrainCommand, at: datetime) -> bool:
    """Return whether the pod had surely ended by then: a living pod that has its address by now says so, too."""
    if command.gone_at is not None:
        return at > command.gone_at + END_TOLERANCE
    return bool(_heirs(command))


def address_used_again_at(command: DrainCommand) -> datetime | None:
    """Return since when a living pod has had the pod's address: nothing of the pod runs any more."""
    return min((other.created_at for other in _heirs(command) if other.created_at is not None), default=None)


def _heirs(command: DrainCommand) -> list[LivingPod]:
    """Return the living pods that have the pod's address."""
    if command.pod.host_network:
        return []
    own = command.pod.addresses
    return [other for other in command.living if not (other.host_network or {other.ip, *other.ips}.isdisjoint(own))]


def _foreign(detail: str) -> Foreign:
    return Foreign(reason=Reason(code=ReasonCode.not_its_own, detail=detail))


def _taken_over(detail: str) -> TakenOver:
    return TakenOver(reason=Reason(code=ReasonCode.taken_over, detail=detail))


def _is_older(registered_at: datetime | None, created_at: datetime | None) -> bool:
    """Return whether a pod that was created then cannot have registered it."""
    return registered_at is not None and created_at is not None and registered_at < created_at - CLOCK_SKEW


def names_the_pod(instance_id: str, pod: Pod) -> bool:
    """Return whether an id holds its pod's name or address: then nobody takes it over who does not have these too.

    Its spec's host name is not the pod's alone, unless it is the pod's name.
    """
    if pod.host_network:
        return False
    text = instance_id.lower()
    return any(_stands_in(name.lower(), text) for name in (pod.name, *pod.addresses))


def _stands_in(name: str, text: str) -> bool:
    """Return whether a text holds a name as a whole. A pattern of each pod's own would be compiled for each drain."""
    at = text.find(name)
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(name) : at + len(name) + 1]
        if before not in _IN_WORDS and after not in _IN_WORDS:
            return True
        at = text.find(name, at + 1)
    return False
