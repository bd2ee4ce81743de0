"""What speaks for it that a registration is a pod's, and what against: a table, and one short rule on top of it.

    sign        for                                     against                                    else
    ─────────   ─────────────────────────────────────   ────────────────────────────────────────   ──────
    pod uid     its metadata state this pod's uid       they state another one                     silent
    pod name    id or host name hold its generated      they hold another pod's generated name     silent
                name, which no other pod can have
    address     it is one of the pod's; or its node's   it is neither the pod's nor its node's;    silent
                with a port that the pod has there      on its node's network: no port of the pod
    host name   it is one that the pod may have         it is some other name                      silent
    port        an enabled port is one of the pod's     all its containers declare others          silent
    app         it is like the pod's label or name      it is not                                  silent
    id          the pod's annotation names it           (the annotation names another: narrowed)   silent

The first three decide, in this order: the first that is not silent overrules all below it. An address alone is nothing:
it needs the pod's host name or id, or else its port or app with no more against it than for it. Where no address is
stated, a host name that others can have needs port or app as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from itertools import accumulate

from controller.domain.addressing import MAX_REMEMBERED, address_in, address_spelled_by, is_local_address
from controller.domain.annotations import PodAnnotations
from controller.domain.instances import Instance
from controller.domain.pod_names import holds_name, is_generated, is_of_replica_set
from controller.domain.pods import LivingPod, Pod

_SEPARATORS = re.compile(r"[^0-9a-z.-]+")
_DELIMITERS = re.compile(r"[-_.]")


class Sign(StrEnum):
    """What is compared."""

    pod_uid = "pod uid"
    pod_name = "pod name"
    address = "address"
    host_name = "host name"
    port = "port"
    app = "app"
    instance_id = "instance id"


class Voice(IntEnum):
    """Whether a sign speaks, and for what."""

    against = -1
    silent = 0
    in_favour = 1


class Strength(IntEnum):
    """How much of a claim is proved: the greater one wins."""

    none = 0
    weak = 1
    address = 2
    pod_name = 3
    pod_uid = 4


DECISIVE = {
    Sign.pod_uid: Strength.pod_uid,
    Sign.pod_name: Strength.pod_name,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line of the table."""

    sign: Sign
    voice: Voice
    text: str
    """For people: what was found."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the table comes to: none is no claim, and ``why`` says what speaks against it or is missing."""

    strength: Strength
    why: str = ""
    fits: bool = False
    """Whether more than address and port speaks for it: uid, name, app, host name or id."""

    @property
    def holds(self) -> bool:
        """Whether the registration is the pod's, as far as only the two of them are looked at."""
        return self.strength is not Strength.none


def table_of(instance: Instance, pod: Pod, annotations: PodAnnotations) -> Iterator[Evidence]:
    """Compare a registration with a pod, sign by sign, the decisive ones first."""
    yield _pod_uid(instance, pod.uid)
    yield _pod_name(instance, pod)
    yield _address(instance, pod, annotations)
    yield _host_name(instance, pod)
    yield _port(instance, pod, annotations)
    yield _app(instance, pod, annotations)
    yield _instance_id(instance, annotations)


def claim_of(instance: Instance, pod: Pod, annotations: PodAnnotations) -> Claim:
    """Decide by the rule; what a decisive sign says makes the rest superfluous."""
    table: dict[Sign, Evidence] = {}
    for one in table_of(instance, pod, annotations):
        if one.sign in DECISIVE and one.voice is Voice.against:
            return Claim(Strength.none, one.text)
        if one.sign in DECISIVE and one.voice is Voice.in_favour:
            return Claim(DECISIVE[one.sign], fits=True)
        table[one.sign] = one
    return _claim_by_weak_signs(table)


def _claim_by_weak_signs(table: Mapping[Sign, Evidence]) -> Claim:
    address, host_name = table[Sign.address], table[Sign.host_name]
    named = host_name.voice is Voice.in_favour or table[Sign.instance_id].voice is Voice.in_favour
    weak = [table[sign] for sign in (Sign.port, Sign.app)]
    supporting = sum(one.voice is Voice.in_favour for one in weak)
    opposing = [one.text for one in (host_name, *weak) if one.voice is Voice.against]
    fits = named or table[Sign.app].voice is Voice.in_favour
    match address.voice:
        case Voice.against:
            return Claim(Strength.none, address.text)
        case Voice.in_favour if named or supporting >= max(1, len(opposing)):
            return Claim(Strength.address, fits=fits)
        case Voice.silent if host_name.voice is Voice.in_favour and supporting >= max(1, len(opposing)):
            return Claim(Strength.weak, fits=fits)
        case Voice.silent if host_name.voice is not Voice.in_favour:
            return Claim(Strength.none, "neither its address nor its host name is the pod's")
        case _:
            what = address.text if address.voice is Voice.in_favour else host_name.text
            return Claim(Strength.none, "; ".join((f"{what}, but nothing else speaks for it", *opposing)))


def claim_of_living(instance: Instance, other: LivingPod) -> Strength:
    """Return how much of a living pod a registration shows: its address alone is enough to leave it alone."""
    if instance.pod_uid:
        return Strength.pod_uid if instance.pod_uid == plain_uid(other.uid) else Strength.none
    if is_generated(other.name) and any(holds_name(word, other.name) for word in names_in(instance)):
        return Strength.pod_name
    there = addresses_of(instance)
    is_there = not there.isdisjoint((other.ip, *other.ips))
    if is_there and (not other.host_network or not set(other.ports).isdisjoint(instance.ports)):
        return Strength.address
    own = {other.name.lower(), *other.host_names}
    named = not other.host_network and (instance.host_name.lower() in own or not own.isdisjoint(names_in(instance)))
    return Strength.weak if named else Strength.none


def _pod_uid(instance: Instance, uid: str) -> Evidence:
    if not instance.pod_uid:
        return Evidence(Sign.pod_uid, Voice.silent, "its metadata state no pod uid")
    if instance.pod_uid == plain_uid(uid):
        return Evidence(Sign.pod_uid, Voice.in_favour, "its metadata state the pod's uid")
    return Evidence(Sign.pod_uid, Voice.against, "its metadata state another pod's uid")


def _pod_name(instance: Instance, pod: Pod) -> Evidence:
    found, own = names_in(instance), pod.name.lower()  # a host name is chosen by a person, for all replicas
    # Nodes' names may be generated in the same way.
    known = (own, pod.node.lower().partition(".")[0], pod.hostname.lower())
    others = sorted(
        word for word in found if is_of_replica_set(word) and not any(holds_name(word, name) for name in known)
    )
    if others:
        return Evidence(Sign.pod_name, Voice.against, f"it bears the name of another pod, {others[0][:80]}")
    if is_generated(own) and any(holds_name(word, own) for word in found):
        return Evidence(Sign.pod_name, Voice.in_favour, "it bears the pod's generated name")
    return Evidence(Sign.pod_name, Voice.silent, "it bears no pod's generated name")


def _address(instance: Instance, pod: Pod, annotations: PodAnnotations) -> Evidence:
    there = addresses_of(instance)
    at_node = not there.isdisjoint(pod.host_ips)
    own = not there.isdisjoint(pod.addresses)
    if pod.host_network and (own or at_node):
        by_port = not set(instance.ports).isdisjoint(_ports_of(pod, annotations))
        if by_port or annotations.instance_id == instance.id:
            return Evidence(Sign.address, Voice.in_favour, "its address is the node's, with the pod's port or id")
        text = "the pod is on its node's network, and neither port nor instance id distinguishes it"
        return Evidence(Sign.address, Voice.against, text)
    if own:
        return Evidence(Sign.address, Voice.in_favour, "its address is the pod's")
    if at_node and not set(instance.ports).isdisjoint(pod.host_ports):
        return Evidence(Sign.address, Voice.in_favour, "its address is the node's, with the pod's host port")
    if at_node:
        return Evidence(Sign.address, Voice.silent, "its address is the node's")
    # Any machine may say of itself that it is at a loopback address.
    elsewhere = sorted(address for address in there if not is_local_address(address) or _is_local(pod))
    if not elsewhere:
        return Evidence(Sign.address, Voice.silent, "it states no address")
    return Evidence(Sign.address, Voice.against, f"its address {elsewhere[0]} is not the pod's")


def _is_local(pod: Pod) -> bool:
    """Return whether the pod itself has a loopback address only, as a process on a developer's machine has."""
    return bool(pod.addresses) and all(is_local_address(address) for address in pod.addresses)


def _host_name(instance: Instance, pod: Pod) -> Evidence:
    name = instance.host_name.lower()
    if pod.host_network:
        return Evidence(Sign.host_name, Voice.silent, "the node's host name is not the pod's alone")
    own = {*pod.host_names, pod.name.lower()}
    if name in own or own & names_in(instance):
        return Evidence(Sign.host_name, Voice.in_favour, "its host name or id names the pod")
    if not name or address_in(name) or name == "localhost":
        return Evidence(Sign.host_name, Voice.silent, "it states no host name")
    if address_spelled_by(name) in pod.addresses:
        return Evidence(Sign.host_name, Voice.silent, "its host name is the pod's address in other words")
    return Evidence(Sign.host_name, Voice.against, f"its host name is {instance.host_name[:80]}")


def _port(instance: Instance, pod: Pod, annotations: PodAnnotations) -> Evidence:
    ports, enabled = _ports_of(pod, annotations), set(instance.ports)
    if not enabled.isdisjoint(ports):
        return Evidence(Sign.port, Voice.in_favour, "its port is the pod's")
    if not (ports and enabled and pod.declares_ports):
        return Evidence(Sign.port, Voice.silent, "its port cannot be compared")
    return Evidence(Sign.port, Voice.against, f"the pod does not declare its port {instance.ports[0]}")


def _ports_of(pod: Pod, annotations: PodAnnotations) -> tuple[int, ...]:
    ports = (*pod.ports, *pod.host_ports)
    return ports if annotations.port is None else (*ports, annotations.port)


def _app(instance: Instance, pod: Pod, annotations: PodAnnotations) -> Evidence:
    if annotations.app:
        voice = Voice.in_favour if annotations.app == instance.app else Voice.against
        return Evidence(Sign.app, voice, f"the pod's annotation names the app {annotations.app[:80]}")
    app = _DELIMITERS.sub("-", instance.app.lower())
    if any(_are_alike(app, name) for name in _workload_names(pod)):
        return Evidence(Sign.app, Voice.in_favour, "its app is like the pod's label or name")
    return Evidence(Sign.app, Voice.against, f"its app {instance.app[:80]} is not like the pod's label or name")


def _instance_id(instance: Instance, annotations: PodAnnotations) -> Evidence:
    if annotations.instance_id and annotations.instance_id == instance.id:
        return Evidence(Sign.instance_id, Voice.in_favour, "the pod's annotation names its id")
    return Evidence(Sign.instance_id, Voice.silent, "no annotation names its id")


def _workload_names(pod: Pod) -> Iterator[str]:
    """Yield what the pod's workload may be called."""
    for name in (pod.app_label, pod.hostname, pod.name, pod.owner.name if pod.owner else ""):
        if name:
            yield _DELIMITERS.sub("-", name.lower())


@lru_cache(MAX_REMEMBERED)
def _are_alike(app: str, name: str) -> bool:
    """Return whether one is the other, or the other with more words before or behind it.

    >>> _are_alike("orders", "shop-orders-7cd9c4fbcc-nlttw"), _are_alike("a", "ab")
    (True, False)
    """
    return _is_within(app, name) or _is_within(name, app)


def _is_within(short: str, long: str) -> bool:
    """Return whether some words of ``long``, one after the other, are ``short``, however it is divided into words."""
    text, wanted = long.replace("-", ""), short.replace("-", "")
    bounds = set(accumulate(map(len, long.split("-")), initial=0))
    return bool(wanted) and any(text.startswith(wanted, at) and at + len(wanted) in bounds for at in bounds)


def plain_uid(uid: str) -> str:
    """Write a uid as metadata are compared: lower case, without ``-``, ``_`` and ``.``."""
    return _DELIMITERS.sub("", uid.lower())


def names_in(instance: Instance) -> frozenset[str]:
    """Return the names that an id and a host name are made of, lower case."""
    return _names_in(instance.id, instance.host_name)


@lru_cache(MAX_REMEMBERED)
def _names_in(*texts: str) -> frozenset[str]:
    words = [word for text in texts for word in _SEPARATORS.split(text.lower())]
    return frozenset(name for word in words for name in (word, word.partition(".")[0]) if name)


def addresses_of(instance: Instance) -> frozenset[str]:
    """Return the addresses that a registration states; a host name may be one."""
    return _addresses_in(instance.ip, instance.host_name)


@lru_cache(MAX_REMEMBERED)
def _addresses_in(ip: str, host_name: str) -> frozenset[str]:
    return frozenset({address_in(ip), address_in(host_name), address_spelled_by(host_name)} - {""})
