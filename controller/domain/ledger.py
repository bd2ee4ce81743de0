"""What the event log says of drains: which instances we took out and still hold, and which pods are going.

A fold over events, in the order of the log. Told the same event twice, or an old one late, it stays the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from controller.domain.causes import Cause
from controller.domain.events import FINAL, Event, Outcome
from controller.domain.instances import Instance
from controller.domain.pods import LivingPod, Pod, living_of

MAX_ENTRIES = 100_000
"""Of each kind, the newest ones are kept; one takes less than 1 kB."""

REVERSIBLE_CAUSES = frozenset({Cause.node_lost})
"""Only a lost node's pod may live on; what terminates, or has ended, never does."""

SETTLE_TIMEOUT = timedelta(minutes=2)
"""After so long, a drain that was asked for holds something, or never will."""

Key = tuple[str, str, str]
"""Drain id, app and instance id."""
Shelf = tuple[str, ...]
"""What kind of fact, and the fact."""
Name = TypeVar("Name")
Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """One instance that a drain took out of service, and that nobody has deleted or given back since."""

    drain_id: str
    region: str
    app: str
    id: str
    cause: Cause
    namespace: str
    pod: str
    uid: str
    ip: str
    since_at: datetime
    """When the drained pod began to go."""
    out_at: datetime
    """When OUT_OF_SERVICE was proved."""

    @property
    def key(self) -> Key:
        """What identifies it."""
        return self.drain_id, self.app, self.id


class Ledger:
    """One cluster's drains, or every cluster's when none is named."""

    def __init__(self, cluster: str = "") -> None:
        self._cluster = cluster
        self._held: OrderedDict[Key, HeldInstance] = OrderedDict()
        self._ended: OrderedDict[Key, datetime] = OrderedDict()
        self._going: OrderedDict[str, tuple[Cause, datetime]] = OrderedDict()
        """Pods by uid: why they are drained, and when that was seen last."""
        self._going_at: OrderedDict[str, datetime] = OrderedDict()
        """The same by address: when it was seen last."""
        self._answered: OrderedDict[str, None] = OrderedDict()
        """Drains that a worker has told something about."""
        self._ended_drains: OrderedDict[str, None] = OrderedDict()
        self._successors: OrderedDict[str, dict[str, LivingPod]] = OrderedDict()
        """By drain: the living pods that a restore was ordered for, by uid."""
        self._shelves: dict[Shelf, dict[Key, None]] = {}
        """What is held, by everything that it is asked for by."""

    def apply(self, event: Event) -> HeldInstance | None:
        """Take the next event of the log; gives the instance that it newly tells to be held."""
        if self._cluster and event.cluster != self._cluster:
            return None
        if event.outcome is Outcome.requested and not event.reason:
            # What a person asks for says nothing of who stands at the pod's address now.
            if not event.requested_by:
                self._go(event)
            return None
        if event.outcome is Outcome.requested and event.facts is not None:
            known = self._successors.get(event.drain_id, {})
            _put(self._successors, event.drain_id, {**known, event.facts.uid: living_of(event.facts)})
        _put(self._answered, event.drain_id, None)
        key = (event.drain_id, event.app, event.instance_id)
        if event.outcome is Outcome.out_of_service:
            return self._take(key, event)
        if event.outcome in FINAL and event.outcome is not Outcome.failed:
            # A failed drain still holds what it took out.
            self._end(key, event)
        return None

    def _go(self, event: Event) -> None:
        cause, seen_at = self._going.get(event.uid, (event.cause, event.at))
        if cause in REVERSIBLE_CAUSES:
            cause = event.cause
        _put(self._going, event.uid, (cause, max(seen_at, event.at)))
        _put(self._going_at, event.ip, max(event.at, self._going_at.get(event.ip, event.at)))

    def _take(self, key: Key, event: Event) -> HeldInstance | None:
        ended = self._ended.get(key)
        if key in self._held or (ended is not None and ended >= event.at):
            return None
        held = HeldInstance(
            drain_id=event.drain_id,
            region=event.region,
            app=event.app,
            id=event.instance_id,
            cause=event.cause,
            namespace=event.namespace,
            pod=event.pod,
            uid=event.uid,
            ip=event.ip,
            since_at=event.since_at or event.at,
            out_at=event.at,
        )
        for old in _put(self._held, key, held):
            self._forget(old)
        for shelf in _shelves(held):
            self._shelves.setdefault(shelf, {})[key] = None
        return held

    def _end(self, key: Key, event: Event) -> None:
        held = self._held.get(key)
        if held is not None and held.out_at <= event.at:
            del self._held[key]
            self._forget(held)
        _put(self._ended, key, event.at)
        _put(self._ended_drains, key[0], None)

    def _forget(self, held: HeldInstance) -> None:
        for shelf in _shelves(held):
            there = self._shelves.get(shelf, {})
            there.pop(held.key, None)
            if not there:
                self._shelves.pop(shelf, None)

    def _on(self, *shelves: Shelf) -> list[HeldInstance]:
        keys = [key for shelf in shelves for key in self._shelves.get(shelf, ())]
        return [self._held[key] for key in dict.fromkeys(keys)]

    def held_at(self, pod: Pod) -> list[HeldInstance]:
        """What we hold of pods that had this one's address or name."""
        return self._on(("ip", pod.ip), ("pod", pod.key))

    def holds(self, region: str, app: str, instance_id: str) -> bool:
        """Whether some drain holds this instance."""
        return ("instance", region, app, instance_id) in self._shelves

    def held_by(self, drain_id: str, region: str) -> list[HeldInstance]:
        """What this drain holds in a region."""
        return [held for held in self._on(("drain", drain_id)) if held.region == region]

    def successors(self, drain_id: str, uid: str) -> tuple[LivingPod, ...]:
        """The living pods that may have taken over what this drain, of the pod ``uid``, took out."""
        known = self._successors.get(drain_id, {})
        return tuple(pod for pod in known.values() if pod.uid != uid)

    def is_taken_again(self, key: Key, region: str, instance: Instance, now: datetime) -> bool:
        """Whether the newer process that holds a drained id is itself drained by now, or is just about to be."""
        registered_at = instance.registered_at or now
        if self.is_held_by_another(key, region, registered_at):
            return True
        asked_at = self._going_at.get(instance.ip)
        return asked_at is not None and asked_at > registered_at and now - asked_at < SETTLE_TIMEOUT

    def is_held_by_another(self, key: Key, region: str, since: datetime) -> bool:
        """Whether another drain has taken this instance out after ``since``, and holds it."""
        drain_id, app, instance_id = key
        held = self._on(("instance", region, app, instance_id))
        return any(held.drain_id != drain_id and held.out_at > since for held in held)

    def has_ended(self, key: Key, since: datetime) -> bool:
        """Whether the story of this instance has ended after ``since``: it was removed, given back, or left alone."""
        return key in self._ended and self._ended[key] > since

    def is_going(self, uid: str, seen_alive_at: datetime) -> bool:
        """Whether this pod is drained, although it was seen alive at that time: a lagging API server may show that."""
        if uid not in self._going:
            return False
        cause, at = self._going[uid]
        return cause not in REVERSIBLE_CAUSES or at > seen_alive_at

    def is_ended(self, drain_id: str) -> bool:
        """Whether this drain has ended for one of its instances, or as a whole."""
        return drain_id in self._ended_drains

    def is_answered(self, drain_id: str) -> bool:
        """Whether a worker has told anything about this drain."""
        return drain_id in self._answered


def _shelves(held: HeldInstance) -> tuple[Shelf, ...]:
    """Where a successor would stand, whose drain it is, and which instance."""
    return (
        ("ip", held.ip),
        ("pod", f"{held.namespace}/{held.pod}"),
        ("drain", held.drain_id),
        ("instance", held.region, held.app, held.id),
    )


def _put(memory: OrderedDict[Name, Fact], name: Name, fact: Fact) -> list[Fact]:
    """Remember, and give what is forgotten for it."""
    memory.pop(name, None)
    memory[name] = fact
    return [memory.popitem(last=False)[1] for _ in range(len(memory) - MAX_ENTRIES)]
