"""A drain command: the pod's facts, and how far a worker has come with it.

The command names a pod, never an instance to hit: the worker finds the instance in its own region's registry and
proves there that it is this pod's.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.causes import Cause
from controller.domain.instances import STOCK_RENEWAL_INTERVAL, Instance
from controller.domain.pods import LivingPod, Pod


class Stage(StrEnum):
    """Where one instance stands on its way out."""

    drain = "drain"
    """To be set OUT_OF_SERVICE at every node."""
    retire = "retire"
    """Out of service; waiting for its retention and for its heartbeats to stop."""
    delete = "delete"
    """To be deleted at every node, until none shows it any more."""
    restore = "restore"
    """A newer process holds its id: our override is lifted at every node, until none shows it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One instance that was proved to be the pod's, as it was when that was proved."""

    app: str
    id: str
    ip: str
    host_name: str
    port: int
    stage: Stage
    due_at: datetime
    renewal_interval: timedelta = STOCK_RENEWAL_INTERVAL
    renewals: dict[str, datetime] = field(default_factory=dict)
    """The last renewal that each node told, to prove silence by comparison."""
    looked_at: datetime | None = None
    """When these renewals were first seen: while they stay the same, the process has been silent since then."""
    may_have_override: bool = False
    """Whether we may have set an override on the id: then a successor is not left alone with it."""
    attempt: int = 1
    trouble: str = ""
    """What the last attempt ran into; an event is written when it changes."""
    trouble_since: datetime | None = None


def target_of(instance: Instance, now: datetime) -> Target:
    """An instance that is to be taken out, as it is now."""
    return Target(
        app=instance.app,
        id=instance.id,
        ip=instance.ip,
        host_name=instance.host_name,
        port=instance.port,
        renewal_interval=instance.renewal_interval,
        stage=Stage.drain,
        due_at=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a worker hands to itself through the delay ladder."""

    first_at: datetime
    """When a worker took the command up."""
    due_at: datetime
    step: int = 0
    """Counts the steps, so that the same step told twice (a crash between publishing and acknowledging) is known."""
    chain: str = ""
    """Empty from the watch; a dead letter that is sent again starts another chain of steps."""
    attempt: int = 1
    trouble: str = ""
    trouble_since: datetime | None = None
    first_look_at: datetime | None = None
    """The first look into a complete index that did not find the instance."""
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainCommand:
    """Drain this pod's instances in this region."""

    drain_id: str
    cluster: str
    region: str
    cause: Cause
    pod: Pod
    observed_at: datetime
    """When the watch saw the cause."""
    since_at: datetime
    """When the pod began to go: its deletion was asked for, or its end."""
    end_at: datetime
    """When the pod is over at the latest: the end of its grace period, or its end if that has been seen."""
    living: tuple[LivingPod, ...] = ()
    """Living pods that share its address or host name."""
    requested_by: str = ""
    """Who asked, when it was not the pod's own end: a person, or the sweep."""
    requested_at: datetime | None = None
    """When a person asked: tells what comes of it from what came of the same drain before."""
    requested_why: str = ""
    progress: Progress | None = None


def drain_id(cluster: str, uid: str, region: str, action: str = "drain") -> str:
    """Derive the id that every replica of the watch gives to the same drain: 16 characters, 80 bits."""
    digest = hashlib.sha256("\0".join((cluster, uid, action, region)).encode()).digest()
    return base64.b32encode(digest[:10]).decode().lower()
