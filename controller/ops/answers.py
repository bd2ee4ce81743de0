"""Drains as JSON, the same from the command line and from the API. Names are those of the events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from controller.domain.diagnostics import Check
from controller.domain.drain_record import DrainRecord, InstanceRecord
from controller.domain.region_state import RegionState
from controller.domain.replay_plan import ReplayItem
from controller.domain.shutdown.verdict import ShutdownVerdict, safe_after, shutdown_of
from controller.domain.timeline import Moment, moments
from controller.ops.web.replays import Execution
from controller.rabbit.dead_letter_queue import DeadMessage


def drain_answer(record: DrainRecord, now: datetime) -> dict[str, Any]:
    """One drain; times are RFC 3339 in UTC, durations seconds."""
    shutdown, end = shutdown_of(record), record.end
    return {
        "drain_id": record.drain_id,
        "state": record.state.value,
        "reason": record.reason,
        "cluster": record.cluster,
        "region": record.region,
        "namespace": record.namespace,
        "pod": record.pod,
        "uid": record.uid,
        "ip": record.ip,
        "cause": record.cause.value,
        "since_at": _time(record.since_at),
        "began_at": _time(record.began_at),
        "last_at": _time(record.last_at),
        "out_of_service_at": _time(record.out_at),
        "seconds_to_out_of_service": _seconds(record.took),
        "grace": shutdown.grace.name,
        "verdict": shutdown.told if shutdown.grace is not ShutdownVerdict.to_come else "",
        "short_seconds": shutdown.short_seconds,
        "grace_why": shutdown.why,
        "safe_at": _time(record.safe_at),
        "safe_after": _time(safe_after(record, now)),
        "ended_at": _time(end.ended_at if end else None),
        "workload": f"{end.kind}/{end.workload}" if end else "",
        "requested_by": record.requested_by,
        "requested_at": _time(record.requested_at),
        "requested_why": record.requested_why,
        "instances": [_part(part) for part in record.parts.values() if part.id],
    }


def timeline_answer(record: DrainRecord, now: datetime) -> dict[str, Any]:
    """One drain with its timeline."""
    return {
        **drain_answer(record, now),
        "timeline": [_moment(one) for one in moments(record, now)],
        "left_out": record.left_out,
    }


def dead_message_answer(letter: DeadMessage, apps: Sequence[str]) -> dict[str, Any]:
    """One dead letter."""
    item = letter.item
    return {
        "region": letter.region,
        "drain_id": item.drain_id if item else None,
        "namespace": item.pod.namespace if item else None,
        "pod": item.pod.name if item else None,
        "apps": list(apps),
        "type": letter.type,
        "message_id": letter.message_id,
        "died_at": _time(letter.died_at),
        "reason": letter.reason,
        "problem": letter.problem,
    }


def region_answer(state: RegionState) -> dict[str, Any]:
    """One region at a glance; null where the broker could not tell."""
    return {
        "region": state.region,
        "looked_at": _time(state.looked_at),
        "queue_messages": state.work.messages if state.work else None,
        "consumers": state.work.consumers if state.work else None,
        "dead_letters": state.dead.messages if state.dead else None,
        "oldest_unfinished_seconds": _seconds(state.oldest_age),
        "oldest_unfinished": state.oldest.drain_id if state.oldest else None,
        "nodes_disagree": state.disagree,
        "nodes": [{"node": node.node, "reachable": node.reachable, "detail": node.detail} for node in state.nodes],
        "troubles": list(state.troubles),
    }


def item_answer(item: ReplayItem) -> dict[str, Any]:
    """One line of a replay's plan."""
    return {
        "drain_id": item.drain_id,
        "verdict": item.judged.verdict.name,
        "reason": item.judged.reason,
        "region": item.region,
        "pod": item.pod,
        "apps": list(item.apps),
        "instances": [{"app": app, "instance_id": instance_id} for app, instance_id in item.instances],
    }


def execution_answer(execution: Execution) -> dict[str, Any]:
    """How far a replay has come, and what came of each drain."""
    return {
        "replay_id": execution.id,
        "executed": True,
        "requested_by": execution.requester.by,
        "requested_at": _time(execution.requester.at),
        "requested_why": execution.requester.why,
        "over_at": _time(execution.over_at),
        "trouble": execution.trouble,
        "to_send": len(execution.to_drain),
        "sent": len(execution.came.sent),
        "outcomes": dict(execution.outcomes),
        "open": len(execution.came.open),
        "items": [
            {**item_answer(item), "outcome": record.state.value if record else None}
            for item in execution.items
            for record in (execution.came.settled.get(item.drain_id),)
        ],
    }


def _part(part: InstanceRecord) -> dict[str, Any]:
    return {
        "app": part.app,
        "instance_id": part.id,
        "outcome": part.outcome.value,
        "at": _time(part.at),
        "reason": part.reason,
        "trouble": part.trouble,
        "attempt": part.attempt,
        "out_of_service_at": _time(part.out_at),
        "safe_at": _time(part.safe_at),
        "retention_ends_at": _time(part.retention_ends_at),
        "nodes": [{"node": node.node, "condition": node.condition.value, "detail": node.detail} for node in part.nodes],
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        # Always with the fraction, so that they sort as text, too.
        "at": moment.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "after_seconds": _seconds(moment.after),
        "what": moment.what,
        "detail": moment.detail,
        "outcome": moment.outcome.value if moment.outcome else None,
        "ahead": moment.ahead,
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)


def check_answer(check: Check) -> dict[str, Any]:
    """One thing that doctor looked at."""
    return {
        "area": check.area,
        "what": check.what,
        "grade": check.severity.value,
        "found": check.found,
        "mend": check.fix,
    }
