"""One drain as its events describe it: its state, what became of each instance, and when. A fold over log entries.

An entry that comes twice counts once: replicas that took the same step write the same event. What a person asks for
later (a replay, a dead letter sent again) goes on in the same record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.domain.causes import Cause
from controller.domain.durations import elapsed
from controller.domain.events import ENDED, OPEN, Event, LogEntry, Outcome, PodGoneEvent
from controller.domain.instances import Reading
from controller.domain.pods import Pod
from controller.domain.reason import Reason, ReasonCode
from controller.domain.shutdown.pod_end import PodEnd

WHOLE_DRAIN = ("", "")
"""The key of what became of the drain as a whole."""
MAX_EVENTS = 200
"""Events of one drain that a timeline keeps: the first half of them and the last."""

STATE_PRECEDENCE = (
    Outcome.failed,
    Outcome.retrying,
    Outcome.requested,
    Outcome.refused,
    Outcome.out_of_service,
    Outcome.superseded,
    Outcome.restored,
    Outcome.removed,
    Outcome.already_gone,
    Outcome.not_registered,
)
"""A drain of several instances is in the first of these states that one of them is in."""
_STILL_GIVEN = (*OPEN, Outcome.failed)
"""Callers are given an instance in one of these states, unless it has been out before."""
_RANK = {outcome: rank for rank, outcome in enumerate(STATE_PRECEDENCE)}


@dataclass(slots=True, kw_only=True)
class InstanceRecord:
    """What became of one instance."""

    app: str
    id: str
    outcome: Outcome
    at: datetime
    """When it came to this."""
    reason: Reason | None = None
    trouble: Reason | None = None
    """What stands in the way, while it does."""
    attempt: int = 1
    nodes: tuple[Reading, ...] = ()
    out_at: datetime | None = None
    safe_at: datetime | None = None
    """When no caller uses it any more, by the worker that took it out; None until then."""
    retention_ends_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class DrainRecord:
    """One drain."""

    drain_id: str
    cluster: str
    region: str
    namespace: str
    pod: str
    uid: str
    ip: str
    cause: Cause
    began_at: datetime
    """The time of the first event that is known of it."""
    last_at: datetime
    since_at: datetime | None = None
    """When the pod began to go."""
    published_at: datetime | None = None
    taken_up_at: datetime | None = None
    requested_by: str = ""
    requested_at: datetime | None = None
    requested_why: str = ""
    answered_at: datetime | None = None
    """The time of the newest outcome."""
    answered: bool = True
    """False: somebody has asked for it, and no outcome has come since."""
    facts: Pod | None = None
    """The pod as the watch saw it; None when the log does not reach back to the beginning."""
    end_at: datetime | None = None
    gone_at: datetime | None = None
    """When the pod surely did not run any more, where that is known."""
    end: PodEnd | None = None
    """The end of the pod's serving, when a watch has seen it."""
    parts: dict[tuple[str, str], InstanceRecord] = field(default_factory=dict)
    events: list[LogEntry] = field(default_factory=list)
    """The timeline, when it is kept."""
    left_out: int = 0
    """Events that the timeline leaves out in its middle."""
    was_given_up: bool = False
    """Whether it has failed before, as a whole or for an instance."""
    _applied: set[int] = field(default_factory=set)

    @property
    def key(self) -> str:
        """``namespace/name`` of the pod."""
        return f"{self.namespace}/{self.pod}"

    @property
    def deciding(self) -> InstanceRecord | None:
        """The instance that decides the state of the whole."""
        return min(self.parts.values(), key=lambda part: _RANK[part.outcome], default=None)

    @property
    def state(self) -> Outcome:
        """Where it stands. What a person has asked for again is open until that is answered."""
        part = self.deciding
        return part.outcome if part and self.answered else Outcome.requested

    @property
    def reason(self) -> Reason | None:
        """Why it stands there, or what stands in its way."""
        if not self.answered:
            return next((part.trouble for part in self.parts.values() if part.trouble), None)
        part = self.deciding
        return (part.trouble or part.reason) if part else None

    @property
    def out_at(self) -> datetime | None:
        """When the last of its instances was proved to be out of service."""
        return max((part.out_at for part in self.parts.values() if part.out_at), default=None)

    @property
    def safe_at(self) -> datetime | None:
        """When no caller uses any of its instances any more; None while one of them is not known to be out."""
        if any(part.id and part.safe_at is None and part.outcome in _STILL_GIVEN for part in self.parts.values()):
            return None
        return max((part.safe_at for part in self.parts.values() if part.safe_at), default=None)

    @property
    def took(self) -> timedelta | None:
        """From the pod's end to the last proof."""
        if self.out_at is None or self.since_at is None:
            return None
        return elapsed(self.since_at, self.out_at) or timedelta(0)

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps of its instances."""
        return tuple(dict.fromkeys(part.app for part in self.parts.values() if part.app))

    def apply(self, entry: LogEntry, *, timeline: bool) -> bool:
        """Take the next entry; return False when it has been applied before."""
        mark = hash(entry.event_id)
        if mark in self._applied:
            return False
        self._applied.add(mark)
        self.last_at = max(self.last_at, entry.at)
        if isinstance(entry, Event):
            self._apply_event(entry)
        elif isinstance(entry, PodGoneEvent):
            self.gone_at = entry.gone_at
        if timeline:
            self.events.append(entry)
            if len(self.events) > MAX_EVENTS:
                del self.events[MAX_EVENTS // 2]
                self.left_out += 1
        return True

    def _apply_event(self, event: Event) -> None:
        self.since_at = self.since_at or event.since_at
        self.published_at = self.published_at or event.published_at
        if event.taken_up_at and (self.taken_up_at is None or event.taken_up_at < self.taken_up_at):
            self.taken_up_at = event.taken_up_at
        self._apply_request(event)
        if event.outcome is Outcome.requested:
            if event.facts is not None:
                self.facts, self.end_at = event.facts, event.end_at
            return
        self._apply_outcome(event)

    def _apply_request(self, event: Event) -> None:
        """Note that somebody asks for it (again): what had failed is open once more."""
        if not event.requested_by:
            return
        # The sweep does not say when it asked: only its first event does.
        asked_at = event.requested_at or (event.at if event.outcome is Outcome.requested else None)
        if asked_at is None or (self.requested_at and asked_at <= self.requested_at):
            self.requested_by = self.requested_by or event.requested_by
            return
        self.requested_by = event.requested_by
        self.requested_at = asked_at
        self.requested_why = event.requested_why
        self.answered = event.requested_at is None and bool(self.answered_at and self.answered_at >= asked_at)
        for part in self.parts.values():
            if part.outcome is Outcome.failed:
                part.outcome, part.trouble, part.at = Outcome.requested, None, event.at

    def _apply_outcome(self, event: Event) -> None:
        is_trouble = event.outcome is Outcome.retrying
        self.was_given_up |= event.outcome is Outcome.failed
        if not is_trouble:
            self.answered_at = max(self.answered_at or event.at, event.at)
            asked_at = self.requested_at
            self.answered |= asked_at is None or event.requested_at == asked_at or event.at >= asked_at
        if event.reason is not None and event.reason.code is ReasonCode.ended_before:
            return  # how it ended is known
        part = self._part_of(event)
        if part is None:
            self._note_late_proof(event)
            return
        part.attempt = event.attempt
        part.nodes = event.nodes or part.nodes
        if is_trouble:
            if _is_begun_anew(part, event):
                part.outcome, part.safe_at = Outcome.retrying, None
            part.trouble = event.reason
            part.safe_at = event.safe_at or part.safe_at
            if part.outcome in OPEN:
                part.outcome = Outcome.retrying
            return
        _set_safe_at(part, event)
        part.outcome, part.at, part.reason, part.trouble = event.outcome, event.at, event.reason, None
        if event.outcome is Outcome.out_of_service:
            part.out_at = event.at
            part.retention_ends_at = event.retention_ends_at

    def _note_late_proof(self, event: Event) -> None:
        """Note when it was out, where that is read after its end: two workers' events come in any order."""
        part = self.parts.get((event.app, event.instance_id))
        if part is not None and event.outcome is Outcome.out_of_service and part.out_at is None:
            part.out_at, part.retention_ends_at = event.at, event.retention_ends_at
            part.safe_at = part.safe_at or event.safe_at

    def _part_of(self, event: Event) -> InstanceRecord | None:
        """Return what the event is about; None when it came late, and something newer is known."""
        key = (event.app, event.instance_id)
        part = self.parts.get(key)
        whole = self.parts.get(WHOLE_DRAIN)
        if key != WHOLE_DRAIN and whole is not None and event.at >= whole.at:
            del self.parts[WHOLE_DRAIN]  # its instances have been found (again)
        if part is None:
            if key == WHOLE_DRAIN and any(other.at > event.at for other in self.parts.values()):
                return None
            part = InstanceRecord(app=event.app, id=event.instance_id, outcome=Outcome.requested, at=event.at)
            self.parts[key] = part
        elif part.outcome in ENDED and event.at < part.at:
            return None
        return part


def _is_begun_anew(part: InstanceRecord, event: Event) -> bool:
    """Return whether what had been given back is to be taken out once more: its pod's node came back, and it goes now.

    A step of the handling that was under way when it was given back says nothing of that.
    """
    return part.outcome is Outcome.restored and part.at < (event.taken_up_at or event.at)


def _set_safe_at(part: InstanceRecord, event: Event) -> None:
    """Note until when callers may use it: from when it was first out, for as long as it has been out since."""
    if event.outcome is Outcome.restored and event.cause is Cause.asked:
        part.safe_at = None  # a person's own drain is undone: its pod serves again, and not another one
    elif part.safe_at is None or (part.outcome is Outcome.restored and event.outcome is Outcome.out_of_service):
        # What is found to be out, or gone, once more has been so since the pod went: by a replay, or a late copy. But
        # what was given back has served since then.
        part.safe_at = event.safe_at


def new_record(event: Event) -> DrainRecord:
    """Return a record that begins with the first event that is known of the drain."""
    return DrainRecord(
        drain_id=event.drain_id,
        cluster=event.cluster,
        region=event.region,
        namespace=event.namespace,
        pod=event.pod,
        uid=event.uid,
        ip=event.ip,
        cause=event.cause,
        began_at=event.at,
        last_at=event.at,
    )
