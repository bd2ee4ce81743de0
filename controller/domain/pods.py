"""What the controller knows of a pod, and what it reads from it.

A pod's identity is its ``uid``: names and addresses are used again by successors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

ANNOTATION_PREFIX = "eureka.drain/"
MAX_LABEL_LENGTH = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What controls a pod and outlives it: its ReplicaSet, StatefulSet, DaemonSet, Job …, in the pod's namespace."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The facts of one pod that a drain needs, as the Kubernetes API reported them last.

    Times are aware UTC; the API gives them in whole seconds.
    """

    namespace: str
    name: str
    uid: str
    ip: str = ""
    """``status.podIP``; empty until the pod's network is set up. A hostNetwork pod's is its node's."""
    ips: tuple[str, ...] = ()
    """``status.podIPs``: every address of the pod, ``ip`` among them. Two on a dual-stack cluster."""
    host_ips: tuple[str, ...] = ()
    """``status.hostIPs``: every address of its node that Kubernetes knows."""
    hostname: str = ""
    """``spec.hostname``, else the pod's name; a hostNetwork pod's host name is its node's."""
    subdomain: str = ""
    node: str = ""
    host_network: bool = False
    mirror: bool = False
    """It stands for a static pod: its deletion ends nothing, the kubelet's process goes on."""
    ports: tuple[int, ...] = ()
    """The container ports that the pod declares; a declaration, not a proof."""
    host_ports: tuple[int, ...] = ()
    """The ports of its node that lead to it (``hostPort``), and to nobody else; none of a pod on its node's network."""
    declares_ports: bool = True
    """Each of its containers declares a port. Else one, beside a mesh's proxy say, may listen at any."""
    phase: str = ""
    app_label: str = ""
    """Its label ``app.kubernetes.io/name``, else ``app``: a guess at its Eureka app, for templates only."""
    created_at: datetime | None = None
    deletion_at: datetime | None = None
    """``metadata.deletionTimestamp``: when the grace period ends, not when the deletion was asked for."""
    grace_seconds: int = 0
    """``metadata.deletionGracePeriodSeconds``."""
    finished_at: datetime | None = None
    """When its last container ended, where the API says so."""
    ended_at: datetime | None = None
    """When the last of its containers ended, if its node has reported that all of them have, and none is started
    again: a proof. A phase alone is none: that of a lost node's pod is written by the control plane."""
    unready_at: datetime | None = None
    """Of a lost node's pod: since when it is not ready. Kubernetes waits for minutes after that before it acts."""
    started: bool = False
    """One of its containers has run, as its node reports."""
    disruption: str = ""
    """The reason of its ``DisruptionTarget`` condition, when that is true."""
    annotations: dict[str, str] = field(default_factory=dict)
    """Only those of ours, without the prefix ``eureka.drain/``."""
    owner: Owner | None = None
    """Its controller, where it has one: a claim of its metadata, not a proof."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address of the pod, the first one first."""
        return tuple(dict.fromkeys(address for address in (self.ip, *self.ips) if address))

    @property
    def key(self) -> str:
        """``namespace/name``, for people."""
        return f"{self.namespace}/{self.name}"

    @property
    def host_names(self) -> tuple[str, ...]:
        """Every host name, lower case, under which the pod itself may have registered."""
        if self.host_network or not self.hostname:
            return (_lower(self.node),) if self.node else ()
        # The kubelet cuts a pod's name to what one label of a domain name may have.
        label = (
            self.hostname if len(self.hostname) <= MAX_LABEL_LENGTH else self.hostname[:MAX_LABEL_LENGTH].rstrip("-.")
        )
        names = [label]
        if self.subdomain:
            service = f"{label}.{self.subdomain}.{self.namespace}"
            names += [f"{label}.{self.subdomain}", service, f"{service}.svc", f"{service}.svc.cluster.local"]
        return tuple(map(_lower, names))

    @property
    def deletion_asked_at(self) -> datetime | None:
        """When its deletion was asked for: a deletionTimestamp is when its grace period ends."""
        if self.deletion_at is None:
            return None
        try:
            return self.deletion_at - timedelta(seconds=self.grace_seconds)
        except OverflowError:  # a grace period of geological length
            return self.deletion_at

    @property
    def terminating(self) -> bool:
        """True once its deletion has been asked for."""
        return self.deletion_at is not None

    @property
    def finished(self) -> bool:
        """True when all its containers have ended and will not be started again."""
        return self.phase in ("Failed", "Succeeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingPod:
    """Another pod that shares an address or a host name with a drained one and is alive."""

    namespace: str
    name: str
    uid: str
    ip: str
    ips: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    host_network: bool = False
    ports: tuple[int, ...] = ()
    created_at: datetime | None = None


def living_of(pod: Pod) -> LivingPod:
    """Return what others are given of a living pod."""
    return LivingPod(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        ip=pod.ip,
        ips=pod.ips,
        host_names=pod.host_names,
        host_network=pod.host_network,
        ports=pod.ports,
        created_at=pod.created_at,
    )


def _lower(name: str) -> str:
    """Return the very same text where it is lower case already, as names of Kubernetes are: a watch keeps it."""
    lower = name.lower()
    return name if lower == name else lower
