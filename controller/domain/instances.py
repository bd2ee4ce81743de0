"""An instance as the registry holds it, and what was read of it node by node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.reason import Reason, ReasonCode, combine

OUT_OF_SERVICE = "OUT_OF_SERVICE"
DOWN = "DOWN"
STARTING = "STARTING"
UP = "UP"
UNKNOWN = "UNKNOWN"
"""No override, where one would stand."""
STOCK_RENEWAL_INTERVAL = timedelta(seconds=30)
"""How often a stock client renews its lease."""
STOCK_LEASE = timedelta(seconds=90)
"""How long a stock client's lease is: a server shows each renewal as much later as the lease is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One registration. ``app`` is upper case, as the server keeps it; ``id`` is used as it is."""

    app: str
    id: str
    ip: str = ""
    host_name: str = ""
    port: int = 0
    """The plain port; 0 where it is disabled."""
    secure_port: int = 0
    """The TLS port; 0 where it is disabled."""
    pod_uid: str = ""
    """The pod's uid that its metadata tell: lower case, without ``-``, ``_`` and ``.``; empty where they tell none."""
    status: str = UNKNOWN
    override: str = UNKNOWN
    registered_at: datetime | None = None
    """The lease's, as the answering node gave it; on our clock, if the node's differs."""
    dirty_at: datetime | None = None
    """``lastDirtyTimestamp``, by the client's clock: a copy of a registration has the same, a new process another."""
    updated_at: datetime | None = None
    """``lastUpdatedTimestamp``: when the node took the registration or last changed its status; on our clock, too."""
    clock_ahead: timedelta = timedelta(0)
    """How far the answering node's clock is ahead of ours; zero where it is hardly different."""
    renewed_at: datetime | None = None
    """``lastRenewalTimestamp``: up to 90 s in the future, so good for comparing with itself only."""
    renewal_interval: timedelta = STOCK_RENEWAL_INTERVAL
    lease: timedelta = STOCK_LEASE

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that are enabled, plain or secure."""
        return tuple(port for port in (self.port, self.secure_port) if port)

    @property
    def has_renewed(self) -> bool:
        """Whether a heartbeat, or a write of a status, came after it was registered."""
        if self.renewed_at is None or self.registered_at is None:
            return False
        # A first renewal time is the registration's; a later one lies ahead. Corrected times are whole seconds off.
        return self.renewed_at - self.clock_ahead > self.registered_at + timedelta(seconds=2)

    def has_renewed_since(self, at: datetime | None, wait: timedelta) -> bool:
        """Return whether that came so long after ``at``: it is no earlier one, which a peer has passed on late."""
        if self.renewed_at is None or at is None:
            return False
        return self.renewed_at - self.clock_ahead - self.lease > at + wait

    @property
    def has_override(self) -> bool:
        """Whether somebody's override keeps it out of service."""
        return self.override == OUT_OF_SERVICE

    @property
    def says_up_beneath(self) -> bool:
        """Whether the process under the override says UP: one that says STARTING or DOWN shows as such."""
        return self.has_override and self.status == OUT_OF_SERVICE

    @property
    def is_up(self) -> bool:
        """Whether callers are given it."""
        return self.status == UP

    @property
    def is_kept_otherwise(self) -> bool:
        """Whether an override that is never ours keeps it from callers: DOWN, say, by a person or a hook."""
        return self.override not in (OUT_OF_SERVICE, UP, UNKNOWN) and not self.is_up

    @property
    def out_of_service(self) -> bool:
        """Whether no client is given this instance, and an override keeps it so."""
        return self.has_override and not self.is_up


class Condition(StrEnum):
    """What one node says of an instance."""

    out = "out"
    in_service = "in_service"
    absent = "absent"
    unreachable = "unreachable"
    failing = "failing"
    denied = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One node's answer, or why there was none. ``node`` is its URL without credentials."""

    node: str
    condition: Condition
    instance: Instance | None = None
    detail: str = ""
    was: str = ""
    """The status that it showed before we set it, where that was DOWN or STARTING: our write hides it."""

    @property
    def answered(self) -> bool:
        """True when the node showed the state of the instance."""
        return self.condition in (Condition.out, Condition.in_service, Condition.absent)

    @property
    def settled(self) -> bool:
        """True when this node gives the instance to no client."""
        return self.condition in (Condition.out, Condition.absent)


def read(node: str, instance: Instance | None) -> Reading:
    """Turn a node's answer (None: 404) into a reading."""
    if instance is None:
        return Reading(node=node, condition=Condition.absent)
    condition = Condition.out if instance.out_of_service else Condition.in_service
    detail = (
        instance.status if instance.status == instance.override else f"{instance.status}, override {instance.override}"
    )
    return Reading(node=node, condition=condition, instance=instance, detail=detail)


Readings = tuple[Reading, ...]
"""What every node says of one instance."""

_CODES = {
    Condition.denied: ReasonCode.denied,
    Condition.unreachable: ReasonCode.unreachable,
    Condition.failing: ReasonCode.bad_answer,
    Condition.in_service: ReasonCode.still_in_service,
}


def present(readings: Iterable[Reading]) -> list[Instance]:
    """Return the registrations that nodes showed."""
    return [reading.instance for reading in readings if reading.instance is not None]


def is_out_at_every_node(readings: Iterable[Reading]) -> bool:
    """Return whether it is out of service wherever it is held, by its own word or by an override.

    An override is there also while the process beneath it says STARTING, and shows as that.
    """
    shown = present(readings)
    return bool(shown) and all(
        one.status == OUT_OF_SERVICE or one.out_of_service or one.is_kept_otherwise for one in shown
    )


def as_first_registered(instance: Instance, others: Iterable[Instance]) -> Instance:
    """Return a registration with the earliest lease that any node gave it, and how that one was renewed.

    A node that starts copies what its peers hold, each with a new lease and the old ``lastDirtyTimestamp``.
    """
    same = (one for one in others if one.dirty_at == instance.dirty_at and one.ip == instance.ip)
    leases = [(one.registered_at, one) for one in same if one.registered_at is not None]
    at, first = min(leases, key=lambda lease: lease[0], default=(None, instance))
    if instance.dirty_at is None or instance.registered_at is None or at is None or at >= instance.registered_at:
        return instance
    return replace(instance, registered_at=at, renewed_at=first.renewed_at, clock_ahead=first.clock_ahead)


def was_out_before(readings: Iterable[Reading], at: datetime) -> bool | None:
    """Return whether some node has kept it from callers since before that time; None where no node shows since when."""
    times = [since for one in present(readings) if (since := _out_since(one)) is not None]
    return any(since < at for since in times) if times else None


def _out_since(instance: Instance) -> datetime | None:
    """Return since when an override, or its own word, keeps it from callers, as far as its node shows that.

    A registration under an override hides when that was set: it is itself the last update.
    """
    if not (instance.has_override or instance.is_kept_otherwise):
        return instance.updated_at if instance.status == OUT_OF_SERVICE else None
    if instance.updated_at is None or instance.registered_at is None:
        return None
    return instance.updated_at if instance.updated_at > instance.registered_at + timedelta(seconds=1) else None


def as_left_out(readings: Readings) -> Readings:
    """Return the readings with what another override keeps from callers as out: for whom its status is left alone."""
    return tuple(
        replace(one, condition=Condition.out) if one.instance is not None and one.instance.is_kept_otherwise else one
        for one in readings
    )


def overridden_at(readings: Iterable[Reading]) -> datetime | None:
    """Return when a node was last given an override that it shows, or what bears one."""
    found = (one.updated_at for one in present(readings) if one.has_override)
    return max((at for at in found if at is not None), default=None)


def dirty_at(readings: Iterable[Reading]) -> datetime | None:
    """Return the newest ``lastDirtyTimestamp`` that a node showed."""
    return max((one.dirty_at for one in present(readings) if one.dirty_at is not None), default=None)


def with_former_status(readings: Readings, before: Readings) -> Readings:
    """Return the readings after a write, with the status that it hides at each node: DOWN or STARTING."""
    former = {one.node: one.instance.status for one in before if one.instance is not None}
    return tuple(
        replace(one, was=former[one.node]) if former.get(one.node) in (DOWN, STARTING) else one for one in readings
    )


def trouble_of(readings: Readings) -> Reason:
    """Name the nodes that are not settled; at least one is not."""
    return combine(
        Reason(
            code=_CODES[reading.condition],
            detail=f"{reading.node}: {reading.condition}{f' ({reading.detail})' if reading.detail else ''}",
        )
        for reading in readings
        if not reading.settled
    )


def disagree(instances: Iterable[Instance]) -> bool:
    """Return whether nodes show the same process UP here and OUT_OF_SERVICE there, with no override left to lift."""
    shown = {instance.status for instance in instances if not instance.has_override}
    return {UP, OUT_OF_SERVICE} <= shown
