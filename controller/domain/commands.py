"""What a region's workers are asked to do, and how far one of them has come with it.

A drain command names a pod, never an instance to hit: the worker finds the instance in its own region's registry and
proves there that it is this pod's. A restore command names a living pod, and what drains hold that it may have taken
over.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.domain.causes import REVERSIBLE, Cause
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import STOCK_RENEWAL_INTERVAL, Instance
from controller.domain.pods import LivingPod, Pod
from controller.domain.reason import Reason

CACHE_TIMEOUT = timedelta(seconds=35)
"""A server's response cache may be 30 s old: so long after the pod's end may one of its instances still appear."""
LOST_NODE_TIMEOUT = timedelta(minutes=15)
"""How long a lost node's pod may still run unseen: Kubernetes deletes it after five minutes, with its grace period."""
MAX_HELD = 64
"""Instances in one restore."""


class Stage(StrEnum):
    """Where one instance stands on its way out; ``stages`` decides what each of them does."""

    take_out = "take_out"
    """To be set OUT_OF_SERVICE at every node, and proved to be."""
    retain = "retain"
    """Out of service; waits for its retention and for its heartbeats to stop."""
    delete = "delete"
    """To be deleted at every node, and verified to be gone."""
    give_back = "give_back"
    """A newer process holds its id: our override is lifted at every node, and verified to be."""


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
    """The last renewal that each node showed, to prove silence by comparison."""
    silent_since: datetime | None = None
    """When these renewals were first seen: while they stay the same, the process has been silent since then."""
    renewals_after_end: dict[str, datetime] = field(default_factory=dict)
    """What each node showed first after the pod's end: later ones are somebody else's heartbeats."""
    written_at: datetime | None = None
    """When its status was last set, by us or by another drain: that renews its lease, and peers pass it on later."""
    dirty_at: datetime | None = None
    """``lastDirtyTimestamp`` as it was when it was last proved to be the pod's: the same one is still the pod's."""
    last_dirty_at: datetime | None = None
    """The same after the pod's end: another one is another process' doing."""
    shared_id: bool = False
    """Its id goes on renewing after the pod's proved end: other processes hold it too, and get it back."""
    was_out: bool = False
    """It was out of service before the drain, by its own word or a person's: that is nobody's to lift."""
    may_have_override: bool = False
    """Whether we may have set an override on the id: then a successor is not left alone with it."""
    attempt: int = 1
    trouble: Reason | None = None
    """What the last attempt ran into; an event is written when it changes."""
    trouble_since: datetime | None = None

    def carried_on(self, **changes: Any) -> Target:
        """Return the target for its next step; nothing stands in its way any more."""
        return replace(self, trouble=None, trouble_since=None, **changes)

    def written(self, at: datetime | None) -> Target:
        """Return the target where its status may have been set then: renewals noted before that prove no heartbeat."""
        if at is None or (self.written_at is not None and self.written_at >= at):
            return self
        return replace(self, written_at=at, renewals_after_end={})


def target_of(instance: Instance, now: datetime) -> Target:
    """Return an instance, as it is now, that is to be taken out."""
    return Target(
        app=instance.app,
        id=instance.id,
        ip=instance.ip,
        host_name=instance.host_name,
        port=instance.port,
        renewal_interval=instance.renewal_interval,
        stage=Stage.take_out,
        due_at=now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a worker hands to itself, or to another one."""

    first_at: datetime
    """When a worker took the command up."""
    due_at: datetime
    step: int = 0
    """Counts the steps: the same step delivered twice (a crash between publishing and acknowledging) is recognised."""
    chain: str = ""
    """Empty from the watch; a dead letter that is sent again starts another chain of steps."""
    attempt: int = 1
    trouble: Reason | None = None
    trouble_since: datetime | None = None
    first_look_at: datetime | None = None
    """The first look into the index; None where the targets came with the command."""
    found: tuple[tuple[str, str], ...] = ()
    """App and id of each instance that was found to be the pod's, whatever has become of it since."""
    found_ports: tuple[int, ...] = ()
    """The ports of those."""
    doubted: tuple[tuple[str, str], ...] = ()
    """Likewise of what only a name that others have speaks for, and was beside others of that name when it was seen."""
    found_all: bool = False
    """Nothing more of the pod's can appear."""
    targets: tuple[Target, ...] = ()

    def with_targets(self, targets: Sequence[Target]) -> Progress:
        """Return what goes on with these targets, due at the first of their times, or at the next look."""
        looks = () if self.found_all else (self.due_at,)
        return replace(self, targets=tuple(targets), due_at=min((*looks, *(target.due_at for target in targets))))


def new_progress(now: datetime) -> Progress:
    """Return the progress of a command that is just taken up."""
    return Progress(first_at=now, due_at=now)


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
    gone_at: datetime | None = None
    """The last moment at which the pod may still have run, where its end is known: its containers ended, or its object
    was removed. None while it may run."""
    end_proved: bool = False
    """Its node has reported that all its containers ended."""
    living: tuple[LivingPod, ...] = ()
    """Living pods that share its address or host name."""
    requested_by: str = ""
    """Who asked, when it was not the pod's own end: a person, or the sweep."""
    requested_at: datetime | None = None
    """When a person asked: keeps what comes of it apart from what came of the same drain before."""
    requested_why: str = ""
    progress: Progress | None = None

    @property
    def may_register_until(self) -> datetime:
        """Until when something of the pod's may appear: its end, as far as that is known, and the servers' caches."""
        end = self.end_at
        if self.gone_at is not None:
            end = self.gone_at
        elif self.cause in REVERSIBLE:
            end = max(end, self.observed_at + LOST_NODE_TIMEOUT)
        return end + CACHE_TIMEOUT


def due_now(command: DrainCommand, now: datetime) -> DrainCommand:
    """Return a command that is due by now at the latest; its instances keep their times."""
    progress = command.progress
    if progress is None or progress.due_at <= now:
        return command
    return replace(command, progress=replace(progress, due_at=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreCommand:
    """Put this living pod back in service, wherever it holds what drains took out in this region."""

    drain_id: str
    cluster: str
    region: str
    pod: Pod
    observed_at: datetime
    """When the watch saw the pod alive for the last time; a reason to drain it that is seen later ends this."""
    held: tuple[HeldInstance, ...]
    requested_by: str = ""
    requested_at: datetime | None = None
    requested_why: str = ""
    progress: Progress | None = None


WorkItem = DrainCommand | RestoreCommand
"""A message that a worker handles."""


def make_restore(
    cluster: str, region: str, pod: Pod, held: tuple[HeldInstance, ...], observed_at: datetime
) -> RestoreCommand:
    """Compose a restore."""
    return RestoreCommand(
        drain_id=drain_id(cluster, pod.uid, region, "restore"),
        cluster=cluster,
        region=region,
        pod=pod,
        observed_at=observed_at,
        held=held[:MAX_HELD],
    )


def drain_id(cluster: str, uid: str, region: str, action: str = "drain") -> str:
    """Derive the id that every replica of the watch gives to the same drain: 16 characters, 80 bits."""
    digest = hashlib.sha256("\0".join((cluster, uid, action, region)).encode()).digest()
    return base64.b32encode(digest[:10]).decode().lower()
