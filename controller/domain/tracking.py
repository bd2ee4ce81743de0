"""What should be drained and is not yet in the broker's hands: level-triggered memory of the watch.

The tracker takes what the API server shows (a list, a change, a removal) in any order and any number of times, and
answers what is due. A pod stays due until the broker has confirmed its commands, and is due once, by uid. A pod that is
missing from a later list has vanished: that is a fact to act upon, not silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from controller.bounds import MAX_ADDRESSES
from controller.domain.address_index import AddressIndex
from controller.domain.bounded_map import BoundedMap
from controller.domain.causes import REVERSIBLE, Cause, cause_of, has_run, is_worth_draining, outlives_its_object
from controller.domain.gone import REMOVED, Gone, gone_of
from controller.domain.pods import LivingPod, Pod, living_of

MAX_SHARING = 64
"""Living pods that are sent along with a command: what the wire holds."""
MAX_REMEMBERED = 10_000
"""Drained pods remembered beyond the living ones: a list from a lagging API server may still hold them."""
MAX_SHUTDOWNS = 10_000
"""Nodes that were seen to shut down, and have not come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A pod to be drained, as it was when the cause was seen."""

    pod: Pod
    cause: Cause
    observed_at: datetime
    gone: Gone | None = None
    """Since when it is over; None while it may run."""


class Tracker:
    """One cluster's pods, by uid. ``scope`` is the namespace that a list covers, or empty for all."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}
        self._by_address = AddressIndex()
        self._due: dict[str, Due] = {}
        self._drained: dict[str, Cause] = {}
        self._shown_at: dict[str, datetime] = {}
        self._gone: BoundedMap[str, Gone] = BoundedMap(MAX_REMEMBERED)
        self._shutting_down: BoundedMap[str, None] = BoundedMap(MAX_SHUTDOWNS)

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def backlog(self) -> int:
        """How many pods wait for the broker's confirmation."""
        return len(self._due)

    def listed(
        self,
        scope: str,
        pods: Iterable[Pod],
        now: datetime,
        *,
        seen_until: datetime | None = None,
        unselected: frozenset[str] = frozenset(),
    ) -> list[Pod]:
        """Take a complete list of a scope; what we knew there and the list lacks has vanished: give that.

        ``seen_until``: until when the scope was watched without a gap. ``unselected`` live, although it lacks them.
        """
        seen = set(unselected)
        for pod in pods:
            seen.add(pod.uid)
            self.changed(pod, now)
        gone = [pod for uid, pod in self._pods.items() if uid not in seen and scope in ("", pod.namespace)]
        for pod in gone:
            self._end(pod, Cause.vanished, now, seen_until=seen_until or self._shown_at[pod.uid])
        return gone

    def changed(self, pod: Pod, now: datetime) -> None:
        """Take a pod's newest state."""
        known = self._pods.get(pod.uid)
        pod = _with_known(pod, known)
        self._remember(pod)
        self._shown_at[pod.uid] = now
        self._weigh(pod, now, known=known)

    def _weigh(self, pod: Pod, now: datetime, *, known: Pod | None) -> None:
        cause = self._cause_of(pod)
        if cause is not None:
            self._set_due(pod, cause, now, known=known, gone=self._note_gone(pod, gone_of(pod, cause, now)))
        elif self._drained.get(pod.uid) in REVERSIBLE or self._cause_due(pod.uid) in REVERSIBLE:
            # The node came back: its pod lives, and is to be drained again when it goes. Nothing else is undone: an
            # older state may be shown once more by a lagging API server.
            self._drained.pop(pod.uid, None)
            self._due.pop(pod.uid, None)

    def removed(self, pod: Pod, now: datetime, *, seen_until: datetime | None = None) -> None:
        """Take the removal of a pod's object: it was deleted, with or without a grace period.

        ``seen_until``: when it was certainly there, where nobody saw it go.
        """
        pod = _with_known(pod, self._pods.get(pod.uid))
        self._end(pod, Cause.deleted, now, seen_until=seen_until)

    def node_changed(self, name: str, now: datetime, *, shutting_down: bool) -> list[Pod]:
        """Take what a node says of itself; give its pods, when that has changed."""
        if shutting_down == (name in self._shutting_down):
            return []
        if shutting_down:
            self._shutting_down[name] = None
        else:
            del self._shutting_down[name]
        pods = [pod for pod in self._pods.values() if pod.node == name]
        for pod in pods:
            if not shutting_down:
                self._shown_at[pod.uid] = now
            self._weigh(pod, now, known=pod)
        return pods

    def missed(self, pod: Pod, now: datetime, *, seen_until: datetime) -> None:
        """Take the removal of a pod whose drain needs nothing more; ``seen_until``: when it was certainly there."""
        self._note_gone(pod, gone_of(pod, Cause.deleted, now, seen_until=seen_until))

    def gone(self, uid: str) -> Gone | None:
        """Return since when a pod is over; None while it may run."""
        return self._gone.get(uid)

    def displaced_by(self, pod: Pod) -> list[Pod]:
        """Return the pods on their way out whose address this living one has by now: they do not run any more."""
        if pod.host_network or self._cause_of(pod) is not None:
            return []
        uids = self._by_address.at(*pod.addresses)
        others = [self._pods[uid] for uid in uids if uid != pod.uid and uid not in self._gone]
        displaced = [other for other in others if cause_of(other) is not None and not other.host_network]
        for other in displaced:
            # The address was free before this pod got it, and it cannot have got it before it was made.
            began_at = [at for at in (pod.created_at, other.deletion_asked_at) if at is not None]
            self._gone[other.uid] = Gone(at=max(began_at, default=self._shown_at[other.uid]), proved=False)
        return displaced

    def forget(self, uid: str) -> None:
        """Take it that this pod, alive, is none of our business any more."""
        self._due.pop(uid, None)
        self._forget(uid)

    def due(self) -> Iterator[Due]:
        """Yield what waits, oldest first."""
        yield from list(self._due.values())

    def newest(self, due: Due) -> Due | None:
        """Return this drain with its newest facts while it waits for the broker: a lost node may have come back."""
        return self._due.get(due.pod.uid) if self._cause_due(due.pod.uid) is due.cause else None

    def confirmed(self, due: Due) -> None:
        """Note that the broker has this drain's commands. What became due for another reason meanwhile stays due."""
        uid = due.pod.uid
        if self._cause_due(uid) is not due.cause:
            return
        del self._due[uid]
        self._drained[uid] = due.cause
        if len(self._drained) > len(self._pods) + 2 * MAX_REMEMBERED:
            gone = [old for old in self._drained if old not in self._pods]
            for old in gone[:-MAX_REMEMBERED]:
                del self._drained[old]

    def living(self) -> Iterator[Pod]:
        """Yield every living pod."""
        yield from (pod for pod in list(self._pods.values()) if self._cause_of(pod) is None)

    def living_at(self, *names: str) -> list[Pod]:
        """Return the living pods at these addresses or host names."""
        uids = self._by_address.at(*names)
        return [self._pods[uid] for uid in uids if self._cause_of(self._pods[uid]) is None]

    def alive_at(self, uid: str) -> datetime | None:
        """When the API server last showed this pod alive; None when it does not, as far as is known."""
        pod = self._pods.get(uid)
        return self._shown_at[uid] if pod is not None and self._cause_of(pod) is None else None

    def has(self, uid: str) -> bool:
        """Whether the API server still has this pod's object, as far as is known."""
        return uid in self._pods

    def sharing(self, pod: Pod) -> tuple[LivingPod, ...]:
        """Return the living pods that share this pod's addresses or host names, at most MAX_SHARING."""
        others = [other for other in self.living_at(*self._addresses(pod)) if other.uid != pod.uid]
        # Whoever holds the address now speaks loudest, then whoever is next door.
        own = frozenset(pod.addresses)
        others.sort(key=lambda other: (own.isdisjoint(other.addresses), other.namespace != pod.namespace, other.uid))
        return tuple(living_of(other) for other in others[:MAX_SHARING])

    def _note_gone(self, pod: Pod, gone: Gone | None) -> Gone | None:
        if gone is not None and not outlives_its_object(pod):
            self._gone[pod.uid] = gone
        return gone

    def _cause_of(self, pod: Pod) -> Cause | None:
        cause = cause_of(pod)
        return Cause.node_shutdown if cause is None and pod.node in self._shutting_down else cause

    def _end(self, pod: Pod, cause: Cause, now: datetime, *, seen_until: datetime | None) -> None:
        known = self._pods.get(pod.uid)
        gone = gone_of(pod, cause, now, seen_until=seen_until)
        if known is None and gone is not None and not gone.proved:
            # A removal that is told once more is no later end.
            gone = self._gone.get(pod.uid, gone)
        self._set_due(pod, cause, now, known=known, gone=self._note_gone(pod, gone))
        self._forget(pod.uid)

    def _set_due(self, pod: Pod, cause: Cause, now: datetime, *, known: Pod | None, gone: Gone | None) -> None:
        earlier = self._due.get(pod.uid)
        if not self._is_to_be_sent(pod, cause, now, known=known):
            return
        if earlier is None or (earlier.cause in REVERSIBLE and cause not in REVERSIBLE):
            self._due[pod.uid] = Due(pod=pod, cause=cause, observed_at=now, gone=gone)
        else:
            # The first cause and moment stay; the newest facts (an address that came late) replace the older ones.
            self._due[pod.uid] = replace(earlier, pod=pod, gone=gone or earlier.gone)

    def _is_to_be_sent(self, pod: Pod, cause: Cause, now: datetime, *, known: Pod | None) -> bool:
        if not has_run(pod) or (cause in REMOVED and outlives_its_object(pod)):
            return False
        drained = self._drained.get(pod.uid)
        if drained is not None:
            # What was drained because of its node is drained once more when it really goes: with its own deadline.
            return drained in REVERSIBLE and cause not in REVERSIBLE
        # However late its end is seen, what was known to live is drained.
        was_alive = known is not None and cause_of(known) is None
        return was_alive or pod.uid in self._due or is_worth_draining(pod, now)

    def _cause_due(self, uid: str) -> Cause | None:
        due = self._due.get(uid)
        return None if due is None else due.cause

    def _remember(self, pod: Pod) -> None:
        old = self._pods.get(pod.uid)
        if old is not None and self._addresses(old) != self._addresses(pod):
            self._by_address.discard(old.uid, self._addresses(old))
            old = None
        self._pods[pod.uid] = pod
        if old is None:
            self._by_address.add(pod.uid, self._addresses(pod))

    def _forget(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        self._shown_at.pop(uid, None)
        if pod is not None:
            self._by_address.discard(uid, self._addresses(pod))

    @staticmethod
    def _addresses(pod: Pod) -> tuple[str, ...]:
        return (*pod.addresses, *pod.host_names[:1])


def _with_known(pod: Pod, known: Pod | None) -> Pod:
    """Return the pod with what its status said before and says no more: near its end it may lose its addresses."""
    if known is None:
        return pod
    ips, ended_at = pod.ips, pod.ended_at
    if pod.ip in ("", known.ip):
        ips = tuple(dict.fromkeys((*ips, *known.ips)))[:MAX_ADDRESSES]
    if ended_at is None and (pod.terminating or pod.finished):
        ended_at = known.ended_at
    kept = replace(
        pod,
        ip=pod.ip or known.ip,
        ips=known.ips if ips == known.ips else ips,
        host_ips=pod.host_ips or known.host_ips,
        started=pod.started or known.started,
        ended_at=ended_at,
    )
    return pod if kept == pod else kept
