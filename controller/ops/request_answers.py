"""What programs are answered about what was asked for: see ``answers``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, field

from controller.domain.requests import Request
from controller.ops.answers import DrainAnswer, JsonAnswer, drain_answer, fill


class RequestAnswer(JsonAnswer):
    """What somebody asked for at one time: a replay, a drain or a restore by hand, a sweep."""

    id: Annotated[str, Meta(description="A replay's is its replay_id.")] = field(name="request_id")
    requested_by: str
    requested_at: datetime
    requested_why: str
    drains: Annotated[int, Meta(description="Those that nobody has asked for anew since.")]
    outcomes: Annotated[dict[str, int], Meta(description="How many came to which outcome.")]
    open: Annotated[int, Meta(description="How many have no outcome yet.")]


class RequestsAnswer(JsonAnswer):
    """What was asked for, the newest first."""

    requests: list[RequestAnswer]
    more: Annotated[int, Meta(description="How many more there are.")]


class RequestedDrainsAnswer(RequestAnswer):
    """One request with its drains."""

    items: Annotated[list[DrainAnswer], Meta(description="The newest first.")]


def request_answer(request: Request) -> RequestAnswer:
    """Describe one request."""
    return fill(RequestAnswer, request, **_facts(request))


def requested_drains_answer(request: Request, now: datetime) -> RequestedDrainsAnswer:
    """Describe one request with its drains."""
    items = [drain_answer(record, now) for record in reversed(request.drains)]
    return fill(RequestedDrainsAnswer, request, **_facts(request), items=items)


def _facts(request: Request) -> dict[str, object]:
    return {
        "requested_by": request.requester.by,
        "requested_at": request.requester.at,
        "requested_why": request.requester.why,
        "drains": len(request.drains),
    }
