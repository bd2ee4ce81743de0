"""An instance as the registry holds it, and what was read of it node by node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

OUT_OF_SERVICE = "OUT_OF_SERVICE"
STOCK_RENEWAL_INTERVAL = timedelta(seconds=30)
"""How often a stock client renews its lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One registration. ``app`` is upper case, as the server keeps it; ``id`` is used as it is."""

    app: str
    id: str
    ip: str = ""
    host_name: str = ""
    port: int = 0
    status: str = "UNKNOWN"
    override: str = "UNKNOWN"
    registered_at: datetime | None = None
    renewed_at: datetime | None = None
    """``lastRenewalTimestamp``: up to 90 s in the future, so good for comparing with itself only."""
    renewal_interval: timedelta = STOCK_RENEWAL_INTERVAL

    @property
    def out_of_service(self) -> bool:
        """True when no client is given this instance and an override keeps it so.

        Under the override a process that says STARTING or DOWN shows as such, and OUT_OF_SERVICE once it says UP.
        """
        return self.override == OUT_OF_SERVICE and self.status != "UP"

    @property
    def says_so_itself(self) -> bool:
        """True when the client reported OUT_OF_SERVICE: the server then answers 200 to ours and stores no override."""
        return self.status == OUT_OF_SERVICE and self.override != OUT_OF_SERVICE


def silence_of(renewal_interval: timedelta) -> timedelta:
    """How far apart two equal renewal times must be to prove that no heartbeat came."""
    interval = renewal_interval if renewal_interval > timedelta(0) else STOCK_RENEWAL_INTERVAL
    return interval + timedelta(seconds=5)


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

    @property
    def answered(self) -> bool:
        """True when the node told the state of the instance."""
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
