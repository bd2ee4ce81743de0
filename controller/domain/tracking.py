"""What should be drained and is not yet in the broker's hands: level-triggered memory of the watch.

The tracker takes what the API server shows (a list, a change, a removal) in any order and any number of times, and
answers what is due. A pod stays due until the broker has confirmed its commands, and is due once, by uid. A pod that is
missing from a later list has vanished: that is a fact to act upon, not silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from controller.domain.causes import Cause, cause_of, is_worth_draining
from controller.domain.pods import LivingPod, Pod, living_of

MAX_SHARING = 20
"""Living pods that are sent along with a command."""
MAX_REMEMBERED = 10_000
"""Drained pods remembered beyond the living ones: a list from a lagging API server may still hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A pod to be drained, as it was when the cause was seen."""

    pod: Pod
    cause: Cause
    observed_at: datetime


class Tracker:
    """One cluster's pods, by uid. ``scope`` is the namespace that a list covers, or empty for all."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}
        self._by_address: dict[str, set[str]] = {}
        self._due: dict[str, Due] = {}
        self._drained: dict[str, Cause] = {}
        self._shown_at: dict[str, datetime] = {}

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def backlog(self) -> int:
        """How many pods wait for the broker's confirmation."""
        return len(self._due)

    def listed(self, scope: str, pods: Iterable[Pod], now: datetime) -> list[Pod]:
        """Take a complete list of a scope; what we knew there and the list lacks has vanished: give that."""
        seen = set()
        for pod in pods:
            seen.add(pod.uid)
            self.changed(pod, now)
        gone = [pod for uid, pod in self._pods.items() if uid not in seen and scope in ("", pod.namespace)]
        for pod in gone:
            self._end(pod, Cause.vanished, now)
        return gone

    def changed(self, pod: Pod, now: datetime) -> None:
        """Take a pod's newest state."""
        known = self._pods.get(pod.uid)
        if known is not None and not pod.ip and known.ip:
            # A status may lose its address near the end; the registry still knows the one it had.
            pod = replace(pod, ip=known.ip)
        self._remember(pod)
        self._shown_at[pod.uid] = now
        cause = cause_of(pod)
        if cause is not None:
            self._set_due(pod, cause, now, known=known)
        elif self._drained.get(pod.uid) is Cause.node_lost or self._is_due_to(pod.uid, Cause.node_lost):
            # The node came back: its pod lives, and is to be drained again when it goes. Nothing else is undone: an
            # older state may be shown once more by a lagging API server.
            self._drained.pop(pod.uid, None)
            self._due.pop(pod.uid, None)

    def removed(self, pod: Pod, now: datetime) -> None:
        """Take the removal of a pod's object: it was deleted, with or without a grace period."""
        known = self._pods.get(pod.uid)
        if known is not None and not pod.ip:
            pod = replace(pod, ip=known.ip)
        self._end(pod, Cause.deleted, now)

    def forget(self, uid: str) -> None:
        """Take it that this pod, alive, is none of our business any more."""
        self._due.pop(uid, None)
        self._forget(uid)

    def due(self) -> Iterator[Due]:
        """Yield what waits, oldest first."""
        yield from list(self._due.values())

    def is_due(self, due: Due) -> bool:
        """Whether this drain still waits for the broker: a lost node may have come back meanwhile."""
        return self._is_due_to(due.pod.uid, due.cause)

    def confirmed(self, due: Due) -> None:
        """Note that the broker has this drain's commands. What became due for another reason meanwhile stays due."""
        uid = due.pod.uid
        if not self._is_due_to(uid, due.cause):
            return
        del self._due[uid]
        self._drained[uid] = due.cause
        if len(self._drained) > len(self._pods) + 2 * MAX_REMEMBERED:
            gone = [old for old in self._drained if old not in self._pods]
            for old in gone[:-MAX_REMEMBERED]:
                del self._drained[old]

    def living(self) -> Iterator[Pod]:
        """Yield every living pod."""
        yield from (pod for pod in list(self._pods.values()) if cause_of(pod) is None)

    def living_at(self, *names: str) -> list[Pod]:
        """Return the living pods at these addresses or host names."""
        uids = {uid for name in names for uid in self._by_address.get(name, ())}
        return [self._pods[uid] for uid in uids if cause_of(self._pods[uid]) is None]

    def alive_at(self, uid: str) -> datetime | None:
        """When the API server last showed this pod alive; None when it does not, as far as is known."""
        pod = self._pods.get(uid)
        return self._shown_at[uid] if pod is not None and cause_of(pod) is None else None

    def has(self, uid: str) -> bool:
        """Whether the API server still has this pod's object, as far as is known."""
        return uid in self._pods

    def sharing(self, pod: Pod) -> tuple[LivingPod, ...]:
        """Return the living pods that share this pod's address or one of its host names, at most 20."""
        others = [other for other in self.living_at(*self._addresses(pod)) if other.uid != pod.uid]
        # Whoever holds the address now speaks loudest, then whoever is next door.
        others.sort(key=lambda other: (other.ip != pod.ip, other.namespace != pod.namespace, other.uid))
        return tuple(living_of(other) for other in others[:MAX_SHARING])

    def _end(self, pod: Pod, cause: Cause, now: datetime) -> None:
        self._set_due(pod, cause, now, known=self._pods.get(pod.uid))
        self._forget(pod.uid)

    def _set_due(self, pod: Pod, cause: Cause, now: datetime, *, known: Pod | None) -> None:
        if pod.uid in self._drained or not pod.ip:
            return
        was_alive = known is not None and cause_of(known) is None
        if not was_alive and pod.uid not in self._due and not is_worth_draining(pod, now):
            return
        earlier = self._due.get(pod.uid)
        # The first cause and moment stay; the newest facts (an address that came late) replace the older ones.
        self._due[pod.uid] = (
            Due(pod=pod, cause=cause, observed_at=now) if earlier is None else replace(earlier, pod=pod)
        )

    def _is_due_to(self, uid: str, cause: Cause) -> bool:
        due = self._due.get(uid)
        return due is not None and due.cause is cause

    def _remember(self, pod: Pod) -> None:
        old = self._pods.get(pod.uid)
        if old is not None and self._addresses(old) != self._addresses(pod):
            self._unindex(old)
            old = None
        self._pods[pod.uid] = pod
        if old is None:
            for name in self._addresses(pod):
                self._by_address.setdefault(name, set()).add(pod.uid)

    def _forget(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        self._shown_at.pop(uid, None)
        if pod is not None:
            self._unindex(pod)

    def _unindex(self, pod: Pod) -> None:
        for name in self._addresses(pod):
            holders = self._by_address.get(name)
            if holders is not None:
                holders.discard(pod.uid)
                if not holders:
                    del self._by_address[name]

    @staticmethod
    def _addresses(pod: Pod) -> tuple[str, ...]:
        return (pod.ip, *pod.host_names[:1]) if pod.ip else pod.host_names[:1]
