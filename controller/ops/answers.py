"""What programs are answered: the objects of the API and of ``-o json``, from which the OpenAPI document is made.

A field is filled from the domain's attribute of its name, unless its function fills it. Times are RFC 3339 in UTC,
durations are seconds, and null is what is not known or does not apply.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, field
from msgspec.structs import asdict

from controller.domain.causes import Cause
from controller.domain.dead_messages import DeadMessage
from controller.domain.diagnostics import Check, Severity
from controller.domain.drain_record import DrainRecord, InstanceRecord
from controller.domain.events import Outcome
from controller.domain.instances import Condition
from controller.domain.reason import ReasonCode
from controller.domain.region_state import RegionState
from controller.domain.shutdown.verdict import ShutdownVerdict, safe_after, shutdown_of
from controller.domain.timeline import Moment, moments
from controller.domain.topology_state import PartKind, PartState, TopologyPart


class JsonAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An object that programs are answered."""


A = TypeVar("A", bound=JsonAnswer)


class ErrorAnswer(JsonAnswer):
    """Why the request was not followed."""

    error: str


class NodeAnswer(JsonAnswer):
    """What one Eureka node said of an instance when it was last asked."""

    node: str
    condition: Condition
    detail: str


class InstanceAnswer(JsonAnswer):
    """One instance of a drained pod."""

    app: str
    id: str = field(name="instance_id")
    outcome: Outcome
    at: Annotated[datetime, Meta(description="When it came to this outcome.")]
    reason_code: ReasonCode | None
    reason: str
    trouble_code: ReasonCode | None
    trouble: Annotated[str, Meta(description="What stands in the way, while it does.")]
    attempt: int
    out_at: datetime | None = field(name="out_of_service_at")
    safe_at: Annotated[datetime | None, Meta(description="From then on no caller uses it.")]
    retention_ends_at: datetime | None
    nodes: list[NodeAnswer]


class DrainAnswer(JsonAnswer):
    """One drain."""

    drain_id: str
    state: Outcome
    reason_code: ReasonCode | None
    reason: str
    cluster: str
    region: str
    namespace: str
    pod: str
    uid: str
    ip: str
    cause: Cause
    since_at: Annotated[datetime | None, Meta(description="When the pod began to go.")]
    began_at: Annotated[datetime, Meta(description="The time of the first event.")]
    last_at: Annotated[datetime, Meta(description="The time of the newest event.")]
    out_at: Annotated[datetime | None, Meta(description="When the last instance was proved to be out.")] = field(
        name="out_of_service_at"
    )
    seconds_to_out_of_service: Annotated[float | None, Meta(description="From since_at to out_of_service_at.")]
    shutdown: Annotated[ShutdownVerdict, Meta(description="Whether the pod served until no caller used it any more.")]
    shutdown_text: Annotated[str, Meta(description="The same in words; empty while it is pending.")]
    short_seconds: Annotated[int | None, Meta(description="How much longer the pod should have served.")]
    shutdown_reason: str
    safe_at: Annotated[datetime | None, Meta(description="From then on no caller uses any of its instances.")]
    safe_after: Annotated[datetime | None, Meta(description="The same, while it lies ahead and the pod serves.")]
    ended_at: Annotated[datetime | None, Meta(description="When the pod ended serving.")]
    workload: Annotated[str, Meta(description="Kind/name of the pod's owner.")]
    requested_by: Annotated[str, Meta(description="The person who asked for it, if one did.")]
    requested_at: datetime | None
    requested_why: str
    instances: list[InstanceAnswer]


class MomentAnswer(JsonAnswer):
    """Something that happened, or will (ahead)."""

    at: Annotated[str, Meta(description="With microseconds, so that it sorts as text.")]
    after_seconds: Annotated[float | None, Meta(description="Since the pod began to go; null for what was before.")]
    what: str
    detail: str
    outcome: Outcome | None
    ahead: bool


class TimelineAnswer(DrainAnswer):
    """One drain with its timeline."""

    timeline: list[MomentAnswer]
    left_out: Annotated[int, Meta(description="Events that the timeline leaves out in its middle.")]


class DrainsAnswer(JsonAnswer):
    """The drains that the filters choose, the newest first."""

    drains: list[DrainAnswer]
    more: Annotated[int, Meta(description="How many more there are.")]


class NodeStateAnswer(JsonAnswer):
    """One Eureka node of a region."""

    node: str
    reachable: bool
    detail: str


class RegionAnswer(JsonAnswer):
    """One region at a glance."""

    region: str
    looked_at: datetime
    queue_messages: int | None
    consumers: int | None
    dead_letters: int | None
    oldest_unfinished_seconds: float | None
    oldest_unfinished: Annotated[str | None, Meta(description="Its drain id.")]
    disagree: bool = field(name="nodes_disagree")
    nodes: list[NodeStateAnswer]
    troubles: list[str]


class RegionsAnswer(JsonAnswer):
    """Every region's newest state."""

    regions: list[RegionAnswer]


class DeadMessageAnswer(JsonAnswer):
    """One dead letter."""

    region: str
    drain_id: str | None
    namespace: str | None
    pod: str | None
    apps: list[str]
    type: str
    message_id: str
    died_at: datetime | None
    reason_code: ReasonCode | None
    reason: str
    problem: Annotated[str, Meta(description="Why it is no message of ours.")]


class DeadAnswer(JsonAnswer):
    """The dead letters that can be read."""

    dead: list[DeadMessageAnswer]
    troubles: Annotated[list[str], Meta(description="What is wrong with the regions whose cannot be read.")]


class SettledAnswer(JsonAnswer):
    """What became of the dead letters that were chosen."""

    settled: Annotated[int, Meta(description="Sent again, or dropped.")]
    left: Annotated[list[DeadMessageAnswer], Meta(description="No messages of ours: these can only be dropped.")]
    unseen: Annotated[dict[str, int], Meta(description="By region, how many are still to be looked at: ask again.")]


class TopologyPartAnswer(JsonAnswer):
    """An exchange, queue, stream or binding on the broker."""

    kind: PartKind
    name: str
    state: PartState
    messages: Annotated[int | None, Meta(description="How many wait in it.")]
    detail: str


class CheckAnswer(JsonAnswer):
    """One thing that doctor checked."""

    area: str
    what: str
    severity: Severity
    found: str
    fix: Annotated[str, Meta(description="What puts it right.")]


def json_text(answer: JsonAnswer) -> str:
    """Write an answer in one line of ASCII: nothing in it commands a terminal."""
    return json.dumps(msgspec.to_builtins(answer))


def drain_answer(record: DrainRecord, now: datetime) -> DrainAnswer:
    """Describe one drain."""
    shutdown, end = shutdown_of(record), record.end
    return fill(
        DrainAnswer,
        record,
        reason_code=record.reason.code if record.reason else None,
        reason=str(record.reason or ""),
        seconds_to_out_of_service=in_seconds(record.took),
        shutdown=shutdown.verdict,
        shutdown_text=shutdown.text,
        short_seconds=shutdown.short_seconds,
        shutdown_reason=shutdown.reason,
        safe_after=safe_after(record, now),
        ended_at=end.ended_at if end else None,
        workload=f"{end.kind}/{end.workload}" if end else "",
        instances=[_instance(part) for part in record.parts.values() if part.id],
    )


def timeline_answer(record: DrainRecord, now: datetime) -> TimelineAnswer:
    """Describe one drain with its timeline."""
    timeline = [_moment(one) for one in moments(record, now)]
    return fill(TimelineAnswer, record, **asdict(drain_answer(record, now)), timeline=timeline)


def _instance(part: InstanceRecord) -> InstanceAnswer:
    return fill(
        InstanceAnswer,
        part,
        reason_code=part.reason.code if part.reason else None,
        reason=str(part.reason or ""),
        trouble_code=part.trouble.code if part.trouble else None,
        trouble=str(part.trouble or ""),
    )


def _moment(moment: Moment) -> MomentAnswer:
    at = moment.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return fill(MomentAnswer, moment, at=at, after_seconds=in_seconds(moment.after))


def region_answer(state: RegionState) -> RegionAnswer:
    """Describe one region; null where the broker could not be asked."""
    return fill(
        RegionAnswer,
        state,
        queue_messages=state.work.messages if state.work else None,
        consumers=state.work.consumers if state.work else None,
        dead_letters=state.dead.messages if state.dead else None,
        oldest_unfinished_seconds=in_seconds(state.oldest_age),
        oldest_unfinished=state.oldest.drain_id if state.oldest else None,
    )


def dead_message_answer(message: DeadMessage) -> DeadMessageAnswer:
    """Describe one dead letter."""
    pod = message.item.pod if message.item else None
    namespace, name = (pod.namespace, pod.name) if pod else (None, None)
    return fill(DeadMessageAnswer, message, namespace=namespace, pod=name)


def topology_part_answer(part: TopologyPart) -> TopologyPartAnswer:
    """Describe one part of what is on the broker."""
    return fill(TopologyPartAnswer, part)


def check_answer(check: Check) -> CheckAnswer:
    """Describe one thing that doctor checked."""
    return fill(CheckAnswer, check)


def fill(kind: type[A], source: object, /, **own: Any) -> A:
    """Make an answer: the fields that are not given are the source's attributes of the same name."""
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    fields = {in_json: own[name] if name in own else getattr(source, name) for name, in_json in names}
    return msgspec.convert(fields, kind, from_attributes=True)


def in_seconds(span: timedelta | None) -> float | None:
    """Write a duration, to the millisecond."""
    return None if span is None else round(span.total_seconds(), 3)
