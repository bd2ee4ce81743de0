"""What stands in a registry without a living pod behind it? Pure: the flow reads, asks here, and reports or drains.

An instance is suspected only on evidence that it belonged to this cluster's pods: the event log names it, or its
address is one that only this cluster's pods can have. It is found only when it has been silent in two looks further
apart than a heartbeat, at every node, with no living pod at either time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

from controller.domain.addressing import canonical_address, unaddressable
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Progress, drain_id, target_of
from controller.domain.events import Event, LogEntry
from controller.domain.evidence import addresses_of, names_in, plain_uid
from controller.domain.instances import Condition, Instance, Readings, present
from controller.domain.ledger import Ledger
from controller.domain.ownership import CLOCK_SKEW
from controller.domain.pod_names import is_generated
from controller.domain.pods import Pod
from controller.domain.silence import renewals

REQUESTED_BY = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An instance that may be a dead pod's."""

    region: str
    instance: Instance
    evidence: str
    """Why it belonged to this cluster's pods."""
    namespace: str = ""
    pod: str = ""
    uid: str = ""
    held: bool = False
    """Whether a drain has taken it out already, by the log: it is being seen to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A suspect after two looks. ``doubt`` is empty when it is to be drained, else it says why not."""

    suspect: Suspect
    renewals: Mapping[str, datetime] = field(default_factory=dict)
    doubt: str = ""


class LivingAddresses:
    """The addresses and host names of every pod that is there and has not ended. A terminating one is the watch's."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        there = [pod for pod in pods if not pod.finished]
        self._addresses = {canonical_address(address) for pod in there for address in pod.addresses}
        self._names = {name for pod in there for name in (*pod.host_names, pod.name.lower())}
        self._uids = {plain_uid(pod.uid) for pod in there}

    def holds(self, instance: Instance) -> bool:
        """Whether such a pod stands where this registration points."""
        if instance.pod_uid in self._uids:
            return True
        names = {name for name in names_in(instance) if is_generated(name)} | {instance.host_name.lower()}
        return not self._addresses.isdisjoint(addresses_of(instance)) or not self._names.isdisjoint(names)


class Provenance:
    """What shows that an instance belonged to this cluster."""

    def __init__(self, cluster: str, cidrs: Iterable[IPv4Network | IPv6Network]) -> None:
        self._cluster = cluster
        self._cidrs = tuple(cidrs)
        self._by_id: dict[tuple[str, str, str], Event] = {}
        self._by_ip: dict[str, Event] = {}
        self.ledger = Ledger(cluster)

    def apply(self, event: LogEntry) -> None:
        """Take the next event of the log."""
        if event.cluster != self._cluster:
            return
        self.ledger.apply(event)
        if not isinstance(event, Event):
            return
        if event.ip:
            self._by_ip[canonical_address(event.ip)] = event
        if event.instance_id:
            self._by_id[(event.region, event.app, event.instance_id)] = event

    def distrust_addresses(self) -> None:
        """Not every pod of the cluster is known: an address may be a living one's."""
        self._cidrs = ()

    def against(self, region: str, instance: Instance, shared: frozenset[str]) -> Suspect | None:
        """Return what speaks for it that this instance was one of ours; ``shared`` are the nodes' own addresses."""
        event = self._by_id.get((region, instance.app, instance.id))
        if event is None and instance.ip not in shared:
            event = self._by_ip.get(canonical_address(instance.ip))
        if (
            event is not None
            and canonical_address(event.ip) == canonical_address(instance.ip)
            and _was_there(event, instance)
        ):
            return Suspect(
                region=region,
                instance=instance,
                evidence=f"event log: {event.namespace}/{event.pod} {event.outcome.value}",
                namespace=event.namespace,
                pod=event.pod,
                uid=event.uid,
            )
        network = next((cidr for cidr in self._cidrs if _is_in(instance.ip, cidr)), None)
        return Suspect(region=region, instance=instance, evidence=f"pod_cidrs: {network}") if network else None


def _was_there(event: Event, instance: Instance) -> bool:
    """Whether it was registered when the log spoke of it: an address is used again."""
    return instance.registered_at is None or instance.registered_at <= event.at + CLOCK_SKEW


def _is_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(canonical_address(address)) in network
    except ValueError:
        return False


def suspects(region: str, registry: Iterable[Instance], pods: Sequence[Pod], evidence: Provenance) -> list[Suspect]:
    """Return the instances of a region that belonged to this cluster and have no pod."""
    living = LivingAddresses(pods)
    shared = frozenset(pod.ip for pod in pods if pod.host_network)
    found = []
    for instance in registry:
        if living.holds(instance):
            continue
        suspect = evidence.against(region, instance, shared)
        if suspect is not None:
            held = evidence.ledger.holds(region, instance.app, instance.id)
            found.append(replace(suspect, held=held))
    return found


def confirm_suspect(
    suspect: Suspect, first: Readings, second: Readings, living: LivingAddresses, *, whole: bool = True
) -> Orphan:
    """Compare two looks. ``whole``: whether the region's registry was read completely."""
    doubt = ""
    instances = present(second)
    if all(reading.condition is Condition.absent for reading in second):
        doubt = "gone meanwhile"
    elif instances and all(instance.has_override for instance in instances) and all(one.answered for one in second):
        doubt = "out of service already"
    elif suspect.held:
        doubt = "being drained"
    elif why := unaddressable(suspect.instance.app) or unaddressable(suspect.instance.id):
        doubt = f"not addressable: it {why}"
    elif any(not reading.answered for reading in (*first, *second)):
        silent = ", ".join(sorted({reading.node for reading in (*first, *second) if not reading.answered}))
        doubt = f"not proved: no usable answer from {silent}"
    elif any(living.holds(instance) for instance in instances):
        doubt = "a pod has come to its address meanwhile"
    elif any(instance.ip != suspect.instance.ip for instance in instances):
        doubt = "its address has changed meanwhile"
    elif renewals(first) != renewals(second):
        doubt = "it heartbeats: a process without a pod"
    elif not whole:
        doubt = "not proved: its region was not read completely"
    return Orphan(suspect=suspect, renewals=renewals(second), doubt=doubt)


def command_of(finding: Orphan, cluster: str, looked_at: datetime, now: datetime) -> DrainCommand:
    """Compose the drain of what was found. The worker proves the silence once more before it writes."""
    suspect = finding.suspect
    instance = suspect.instance
    uid = suspect.uid or instance.pod_uid or f"swept:{instance.ip}"
    which = f"sweep {instance.app} {instance.id} {instance.registered_at}"
    target = replace(target_of(instance, now), renewals=dict(finding.renewals), silent_since=looked_at)
    return DrainCommand(
        drain_id=drain_id(cluster, uid, suspect.region, which),
        cluster=cluster,
        region=suspect.region,
        cause=Cause.vanished,
        pod=Pod(
            namespace=suspect.namespace,
            name=suspect.pod or instance.host_name[:63],
            uid=uid,
            ip=instance.ip,
            hostname=instance.host_name[:63],
            ports=instance.ports,
            app_label=instance.app,
        ),
        observed_at=now,
        since_at=now,
        end_at=now,
        gone_at=now,
        requested_by=REQUESTED_BY,
        progress=Progress(first_at=now, due_at=now, targets=(target,)),
    )
