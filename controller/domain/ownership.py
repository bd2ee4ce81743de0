"""Is this registration the drained pod's own? Asked before each write, with what the registry says at that moment.

The registry's override sticks to an id, not to a process: a write that meets a successor under the same id takes a live
instance out of service for good. So every doubt ends without a write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from controller.domain.addressing import is_local_address, is_same_address
from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Target
from controller.domain.instances import Instance
from controller.domain.pods import LivingPod, Pod
from controller.domain.reason import Reason, ReasonCode

_ORDINAL = re.compile(r"-\d+$", re.ASCII)
_RANDOM = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$", re.ASCII)
"""The end of a generated name: five of the characters that Kubernetes draws from."""
CLOCK_SKEW = timedelta(seconds=30)
"""How far the registry's clock and a slow kill may carry a registration past the pod's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The registration is the pod's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """It is somebody else's, or nobody can say whose."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """A newer process holds it."""

    reason: Reason


Ownership = Owned | Foreign | TakenOver


def ownership_of(instance: Instance, command: DrainCommand, annotations: PodAnnotations) -> Ownership:
    """Decide from address, host name, times, and the living pods that the watch sent along."""
    pod = command.pod
    by_ip = bool(pod.ip) and is_same_address(instance.ip, pod.ip)
    by_name = instance.host_name.lower() in pod.host_names
    newer = instance.registered_at is not None and instance.registered_at > command.since_at
    if not by_ip and not by_name:
        if newer and annotations.instance_id == instance.id:
            return _taken_over(f"a newer process at {instance.ip or instance.host_name} holds the pod's id")
        return _foreign(f"its address {instance.ip or '(none)'} and host name are not the pod's")
    if (
        instance.registered_at is not None
        and instance.registered_at > command.end_at + CLOCK_SKEW
        and not (by_ip and _bears_its_name(instance, pod))
    ):
        return _taken_over("it was registered after the pod's end")
    if _is_older(instance, pod):
        return _foreign("it was registered before the pod was created")
    if not by_ip and (doubt := _doubt_about_the_name(instance, command)):
        return _taken_over(doubt) if newer else _foreign(doubt)
    if pod.host_network:
        return _on_a_shared_address(instance, command, annotations)
    bears_its_name = by_ip and _bears_its_name(instance, pod)
    for other in command.living:
        if other.host_network or bears_its_name or not _claims(other, instance, by_ip=by_ip):
            continue
        if _registered_before(instance, other):
            continue
        return _taken_over(f"the living pod {other.namespace}/{other.name} holds its address or host name")
    if not by_ip and instance.ip and any(other.ip == instance.ip for other in command.living):
        return _foreign("its address is a living pod's")
    return Owned()


def _foreign(detail: str) -> Foreign:
    return Foreign(reason=Reason(code=ReasonCode.not_its_own, detail=detail))


def _taken_over(detail: str) -> TakenOver:
    return TakenOver(reason=Reason(code=ReasonCode.taken_over, detail=detail))


def _is_older(instance: Instance, pod: Pod) -> bool:
    """Return whether a predecessor at the same address or name must have left it."""
    return (
        instance.registered_at is not None
        and pod.created_at is not None
        and instance.registered_at < pod.created_at - CLOCK_SKEW
    )


def _bears_its_name(instance: Instance, pod: Pod) -> bool:
    """Return whether a registration bears a name that no other pod can have: a ReplicaSet's, with random letters.

    Then it is the same process that registered again, after a node lost its memory, and not a successor.
    """
    if pod.host_network or not pod.host_names or _ORDINAL.search(pod.host_names[0]):
        return False
    own = pod.host_names[0]
    return _RANDOM.search(own) is not None and (
        instance.host_name.lower().partition(".")[0] == own or own in re.split(r"[:@/]", instance.id.lower())
    )


def _doubt_about_the_name(instance: Instance, command: DrainCommand) -> str:
    """Return why a host name alone does not prove that an instance at another address is the pod's.

    A Deployment's pod has a name of its own; a StatefulSet's (``orders-0``) stands in other namespaces and clusters
    too, and is taken over by a successor before the deadline.
    """
    pod = command.pod
    if not pod.ip or (is_local_address(instance.ip) and not is_local_address(pod.ip)):
        return ""
    if not pod.host_network and _ORDINAL.search(instance.host_name.partition(".")[0]):
        return f"its address is {instance.ip}, and a host name with a number is not the pod's alone"
    if instance.registered_at is not None and instance.registered_at >= command.since_at:
        return f"its address is {instance.ip}, and it was registered after the pod began to go"
    return ""


def _on_a_shared_address(instance: Instance, command: DrainCommand, annotations: PodAnnotations) -> Ownership:
    """Have the port or an explicit id speak for it too: a hostNetwork pod's address is its node's."""
    pod = command.pod
    ports = pod.ports if annotations.port is None else (annotations.port,)
    by_port = instance.port != 0 and instance.port in ports
    if not by_port and annotations.instance_id != instance.id:
        return _foreign("the pod is on its node's network, and neither port nor instance id distinguishes it")
    for other in command.living:
        if instance.port in other.ports and not _registered_before(instance, other):
            return _taken_over(f"the living pod {other.namespace}/{other.name} declares its port on that node")
    return Owned()


def _claims(other: LivingPod, instance: Instance, *, by_ip: bool) -> bool:
    """Return whether a living pod stands where this registration points."""
    if by_ip:
        return other.ip == instance.ip
    return instance.host_name.lower() in other.host_names


def _registered_before(instance: Instance, other: LivingPod) -> bool:
    return (
        instance.registered_at is not None
        and other.created_at is not None
        and instance.registered_at < other.created_at - CLOCK_SKEW
    )


def names_the_pod(instance_id: str, pod: Pod) -> bool:
    """Return whether an id holds its pod's name or address: then nobody takes it over who does not have these too."""
    if pod.host_network:
        return False
    return any(name and name.lower() in instance_id.lower() for name in (pod.ip, pod.name, *pod.host_names[:1]))


def is_same(instance: Instance, target: Target) -> bool:
    """Return whether the id is still where it was when it was proved to be the pod's."""
    return instance.ip == target.ip and instance.host_name == target.host_name


def may_share(pod: Pod, instance: Instance) -> bool:
    """Return whether the instance stands at the pod's address or host name: a cheap first choice from an index."""
    return (bool(pod.ip) and is_same_address(instance.ip, pod.ip)) or instance.host_name.lower() in pod.host_names
