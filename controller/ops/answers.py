"""Drains as JSON, the same from the command line and from the API. Names are those of the events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from controller.domain.story import Part, Story
from controller.domain.timeline import Moment, moments
from controller.rabbit.dead import Letter


def drain_answer(story: Story) -> dict[str, Any]:
    """One drain; times are RFC 3339 in UTC, durations seconds."""
    return {
        "drain_id": story.drain_id,
        "state": story.state.value,
        "reason": story.reason,
        "cluster": story.cluster,
        "region": story.region,
        "namespace": story.namespace,
        "pod": story.pod,
        "uid": story.uid,
        "ip": story.ip,
        "cause": story.cause.value,
        "since_at": _time(story.since_at),
        "began_at": _time(story.began_at),
        "last_at": _time(story.last_at),
        "out_of_service_at": _time(story.out_at),
        "seconds_to_out_of_service": _seconds(story.took),
        "requested_by": story.requested_by,
        "requested_at": _time(story.requested_at),
        "requested_why": story.requested_why,
        "instances": [_part(part) for part in story.parts.values() if part.id],
    }


def timeline_answer(story: Story, now: datetime) -> dict[str, Any]:
    """One drain with its timeline."""
    return {
        **drain_answer(story),
        "timeline": [_moment(one) for one in moments(story, now)],
        "left_out": story.left_out,
    }


def letter_answer(letter: Letter, apps: Sequence[str]) -> dict[str, Any]:
    """One dead letter."""
    order = letter.order
    return {
        "region": letter.region,
        "drain_id": order.drain_id if order else None,
        "namespace": order.pod.namespace if order else None,
        "pod": order.pod.name if order else None,
        "apps": list(apps),
        "type": letter.type,
        "message_id": letter.message_id,
        "died_at": _time(letter.died_at),
        "reason": letter.reason,
        "problem": letter.problem,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "app": part.app,
        "instance_id": part.id,
        "outcome": part.outcome.value,
        "at": _time(part.at),
        "reason": part.reason,
        "trouble": part.trouble,
        "attempt": part.attempt,
        "out_of_service_at": _time(part.out_at),
        "retention_ends_at": _time(part.retention_ends_at),
        "nodes": [{"node": node.node, "condition": node.condition.value, "detail": node.detail} for node in part.nodes],
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "at": _time(moment.at),
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
