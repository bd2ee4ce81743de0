"""What the event log says of drains: which instances we took out and still hold, and which pods are going.

A fold over the log's entries, in their order. An entry that comes twice, or late, changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from controller.domain.bounded_map import BoundedMap, note_newest
from controller.domain.causes import REVERSIBLE, Cause
from controller.domain.events import ENDED, Event, LogEntry, Outcome, PodGoneEvent, TakeoverEvent
from controller.domain.held_instances import HeldInstance, IndexKey, InstanceKey, claim_of_held, index_keys
from controller.domain.instances import Instance
from controller.domain.ownership import CLOCK_SKEW, END_TOLERANCE
from controller.domain.pods import LivingPod, Pod, living_of
from controller.domain.reason import ReasonCode

MAX_ENTRIES = 100_000
"""Of each kind, the newest ones are kept; one takes less than 1 kB."""
MAX_SUCCESSORS = 64
"""Of one drain, the newest ones are kept."""
SETTLE_TIMEOUT = timedelta(minutes=2)
"""After so long, a drain that was asked for holds something, or never will."""

CLEARED = frozenset({Outcome.removed, Outcome.already_gone, Outcome.restored})
"""Outcomes after which no override of a drain is on the id. The other endings say only that the id is left alone."""
WRITING = frozenset({Outcome.out_of_service, Outcome.restored})
"""Outcomes that come of a status that was set or lifted: that renews the lease, as a heartbeat does."""

DELETED = frozenset({Cause.terminating, Cause.deleted})
"""Causes after which a pod's object goes, with its process."""


class Ledger:
    """One cluster's drains, or every cluster's when none is named."""

    def __init__(self, cluster: str = "", *, limit: int = MAX_ENTRIES) -> None:
        """``limit``: how many of each kind are kept."""
        self.cluster = cluster
        self._held: BoundedMap[InstanceKey, HeldInstance] = BoundedMap(limit)
        self._out_at: BoundedMap[InstanceKey, datetime] = BoundedMap(limit)
        """When a drain last said that it has an instance out."""
        self._dirty_at: BoundedMap[InstanceKey, datetime | None] = BoundedMap(limit)
        """The dirty time of the registration that it has out since then."""
        self._ended: BoundedMap[InstanceKey, tuple[Outcome, datetime]] = BoundedMap(limit)
        self._cleared: BoundedMap[InstanceKey, datetime] = BoundedMap(limit)
        """When a drain ended with nothing of it left on the id."""
        self._going: BoundedMap[str, tuple[Cause, datetime]] = BoundedMap(limit)
        """Pods by uid: why they are drained, and when that was seen last."""
        self._going_at: BoundedMap[str, datetime] = BoundedMap(limit)
        """The same by address: when it was seen last."""
        self._answered: BoundedMap[str, datetime] = BoundedMap(limit)
        """Drains that a worker has taken up, and when it last said so."""
        self._ended_drains: BoundedMap[str, datetime] = BoundedMap(limit)
        """Drains that have ended for an instance, or as a whole, and when one last did."""
        self._successors: BoundedMap[str, dict[str, LivingPod]] = BoundedMap(limit)
        """By drain: the living pods that a restore was sent for, by uid."""
        self._gone: BoundedMap[str, PodGoneEvent] = BoundedMap(limit)
        """Pods by uid that do not run any more."""
        self._was_out: BoundedMap[InstanceKey, None] = BoundedMap(limit)
        """What a drain has found under somebody else's override, and has not taken out itself since."""
        self._turns: BoundedMap[InstanceKey, int] = BoundedMap(limit)
        """How often a drain has taken an instance out anew, after an ending."""
        self._written: BoundedMap[InstanceKey, datetime] = BoundedMap(limit)
        """By region, app and id: when a status was last set or lifted by whichever drain, as far as the log says."""
        self._index: dict[IndexKey, dict[InstanceKey, None]] = {}
        """What is held, by everything that it is asked for by."""

    def apply(self, entry: LogEntry) -> HeldInstance | None:
        """Take the next entry of the log; return the instance that is held from now on, if there is one."""
        if self.cluster and entry.cluster != self.cluster:
            return None
        match entry:
            case Event():
                return self._apply_event(entry)
            case TakeoverEvent():
                known = self._successors.get(entry.drain_id, {})
                successor = living_of(entry.successor)
                newest = list({**known, successor.uid: successor}.items())[-MAX_SUCCESSORS:]
                self._successors[entry.drain_id] = dict(newest)
                note_newest(self._answered, entry.drain_id, entry.at)
                return None
            case PodGoneEvent():
                known_end = self._gone.get(entry.uid)
                if known_end is None or (entry.proved and not known_end.proved):
                    self._gone[entry.uid] = entry
                return None
            case _:
                assert_never(entry)

    def _apply_event(self, event: Event) -> HeldInstance | None:
        if event.outcome is Outcome.requested:
            # What a person asks for says nothing of who stands at the pod's address now.
            if not event.requested_by:
                self._go(event)
            return None
        note_newest(self._answered, event.drain_id, event.at)
        was_back = (code := event.reason and event.reason.code) is ReasonCode.back_in_service
        if event.outcome in WRITING or was_back:
            note_newest(self._written, (event.region, event.app, event.instance_id), event.at)
        key = (event.drain_id, event.app, event.instance_id)
        if event.outcome is Outcome.out_of_service or was_back or self._is_new_trouble(key, event):
            return self._hold(key, event)
        if event.outcome in ENDED and code is not ReasonCode.ended_before:
            self._end(key, event)
        return None

    def _is_new_trouble(self, key: InstanceKey, event: Event) -> bool:
        """Return whether what may have been written is not proved, by a handling that began after the last ending."""
        _, ended_at = self._ended.get(key, (None, None))
        return event.may_have_override and (ended_at is None or ended_at < (event.taken_up_at or event.at))

    def _go(self, event: Event) -> None:
        cause, seen_at = self._going.get(event.uid, (event.cause, event.at))
        if cause in REVERSIBLE:
            cause = event.cause
        self._going[event.uid] = (cause, max(seen_at, event.at))
        note_newest(self._going_at, event.ip, event.at)

    def _hold(self, key: InstanceKey, event: Event) -> HeldInstance | None:
        if event.at >= self._out_at.get(key, event.at):
            self._out_at[key], self._dirty_at[key] = event.at, event.dirty_at
        if not self.is_cleared(key, event.at):
            self._cleared.pop(key, None)
        if key in self._held or self.has_ended(key, event.at):
            return None
        if self._ended.pop(key, None) is not None:
            self._turns[key] = self._turns.get(key, 0) + 1  # its pod had registered it anew
        if event.reason is not None and event.reason.code is ReasonCode.already_out:
            self._was_out[key] = None
            return None  # whoever had taken it out holds it
        self._was_out.pop(key, None)
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
            end_at=event.end_at,
            dirty_at=event.dirty_at,
            was=next((one.was for one in event.nodes if one.was), ""),
        )
        for oldest in self._held.put(key, held):
            self._forget(oldest)
        for place in index_keys(held):
            self._index.setdefault(place, {})[key] = None
        return held

    def _end(self, key: InstanceKey, event: Event) -> None:
        note_newest(self._ended_drains, key[0], event.at)
        held = self._held.get(key)
        if event.at < self._out_at.get(key, held.out_at if held else event.at):
            return  # that was another time: it has been taken out since
        if held is not None:
            del self._held[key]
            self._forget(held)
        if not self.has_ended(key, event.at):
            self._ended[key] = event.outcome, event.at
        if event.outcome in CLEARED and not self.is_cleared(key, event.at):
            self._cleared[key] = event.at

    def _forget(self, held: HeldInstance) -> None:
        for place in index_keys(held):
            there = self._index.get(place, {})
            there.pop(held.key, None)
            if not there:
                self._index.pop(place, None)

    def _at(self, *places: IndexKey) -> list[HeldInstance]:
        keys = [key for place in places for key in self._index.get(place, ())]
        return [self._held[key] for key in dict.fromkeys(keys)]

    def held_at(self, pod: Pod) -> list[HeldInstance]:
        """Return what we hold of pods that had this one's address or name."""
        return self._at(*(("ip", address) for address in pod.addresses), ("pod", pod.key))

    def holds(self, region: str, app: str, instance_id: str) -> bool:
        """Return whether some drain holds this instance."""
        return ("instance", region, app, instance_id) in self._index

    def is_held(self, key: InstanceKey) -> bool:
        """Return whether this drain has taken the instance out and not ended there."""
        return key in self._held

    def was_out(self, key: InstanceKey) -> bool:
        """Return whether this drain has found it under somebody else's override, which is there as far as is known."""
        return key in self._was_out

    def turn(self, key: InstanceKey) -> int:
        """Return how often this drain has taken the instance out anew after an ending."""
        return self._turns.get(key, 0)

    def written_at(self, region: str, app: str, instance_id: str) -> datetime | None:
        """Return when some drain last set or lifted this instance's status."""
        return self._written.get((region, app, instance_id))

    def held_by(self, drain_id: str, region: str) -> list[HeldInstance]:
        """Return what this drain holds in a region."""
        return [held for held in self._at(("drain", drain_id)) if held.region == region]

    def successors(self, drain_id: str, uid: str) -> tuple[LivingPod, ...]:
        """Return the living pods that may have taken over what this drain, of the pod ``uid``, took out."""
        known = self._successors.get(drain_id, {})
        return tuple(pod for pod in known.values() if pod.uid != uid)

    def is_of_a_going_pod(self, instance: Instance) -> bool:
        """Return whether it was registered by a pod at its address that has begun to go since."""
        asked_at = self._going_at.get(instance.ip)
        return asked_at is not None and (instance.registered_at is None or asked_at > instance.registered_at)

    def is_asked_to_go(self, instance: Instance, now: datetime) -> bool:
        """Return whether a drain of the pod that has registered it began so recently that it may not hold it yet."""
        return self.is_of_a_going_pod(instance) and now - self._going_at[instance.ip] < SETTLE_TIMEOUT

    def is_held_by_another(self, key: InstanceKey, region: str, since: datetime) -> bool:
        """Return whether what was registered at ``since`` is another drain's, which has taken it out after that.

        Of several that have, those go first whose cause came after ``since`` and does not pass by itself: the others
        took it for a predecessor's, or wait for a node. Of these the last one holds it; all others leave it alone.
        """
        there = self._at(("instance", region, *key[1:]))
        claims = [claim_of_held(one, self._out_at.get(one.key, one.out_at), since) for one in there]
        after = [claim for claim in claims if claim[1] > since]
        return bool(after) and max(after)[2] != key[0]

    def is_registered_since_end(self, drain_id: str, instance: Instance) -> bool:
        """Return whether this instance's drain has ended, and its pod has registered it anew after that.

        A process registers anew at the very moment at which its instance is deleted or given back, by a clock that is
        read to whole seconds. What was refused is there all the time; and a cached list still shows the registration
        that was drained, which may have been as young.
        """
        key = drain_id, instance.app, instance.id
        if key not in self._ended or instance.registered_at is None:
            return False
        outcome, at = self._ended[key]
        if instance.registered_at > at:
            return True
        drained = self._dirty_at.get(key)
        was_there = outcome is Outcome.refused or (drained is not None and drained == instance.dirty_at)
        return not was_there and instance.registered_at > at - END_TOLERANCE

    def has_ended(self, key: InstanceKey, since: datetime) -> bool:
        """Return whether this instance's drain has ended since then: it was removed, given back, or left alone."""
        return key in self._ended and self._ended[key][1] >= since

    def ending(self, key: InstanceKey) -> tuple[Outcome, datetime] | None:
        """Return how and when this instance's drain has ended; None while it goes on, or is out anew."""
        return self._ended.get(key)

    def given_back_at(self, key: InstanceKey) -> datetime | None:
        """Return when this instance's drain has ended by giving it back, if it has: it serves from then on."""
        outcome, at = self._ended.get(key, (None, None))
        return at if outcome is Outcome.restored else None

    def is_cleared(self, key: InstanceKey, since: datetime) -> bool:
        """Return whether this instance's drain has ended since then, and left no override on the id."""
        return key in self._cleared and self._cleared[key] >= since

    def held_of_unknown_end(self, before: datetime) -> list[HeldInstance]:
        """Return what is held of pods that were deleted before then, and whose end the log does not have.

        Other causes leave their pods where they are, or say of themselves when these ended; a lost one may run on.
        """
        held = (one for one in self._held.values() if one.since_at < before and one.cause in DELETED)
        return [one for one in held if one.uid not in self._gone]

    def gone(self, uid: str) -> PodGoneEvent | None:
        """Return what is known of this pod's end; None while it may run."""
        return self._gone.get(uid)

    def is_going(self, uid: str, seen_alive_at: datetime) -> bool:
        """Return whether this pod is drained, although a lagging API server showed it alive at that time."""
        if uid not in self._going:
            return False
        cause, at = self._going[uid]
        return cause not in REVERSIBLE or at > seen_alive_at

    def has_any_ended(self, drain_id: str) -> bool:
        """Return whether this drain has ended for one of its instances, or as a whole."""
        return drain_id in self._ended_drains

    def is_answered(self, drain_id: str, since: datetime) -> bool:
        """Return whether a worker has taken this drain up since then, as far as clocks agree.

        A pod may be drained more than once: its node was lost and came back, and later it was deleted.
        """
        return drain_id in self._answered and self._answered[drain_id] >= since - CLOCK_SKEW

    def has_ended_between(self, drain_id: str, since: datetime, until: datetime) -> bool:
        """Return whether this drain has last ended in that time."""
        return drain_id in self._ended_drains and since < self._ended_drains[drain_id] < until
