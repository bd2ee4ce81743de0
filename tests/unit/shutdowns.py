"""Builders for the tests of shutdown verdicts: workers' events, the watch's ends, and both together."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from controller.domain.commands import DrainCommand
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event, Outcome, make_event
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from tests.unit.building import a_command, a_target, at

WINDOW = 95.0
"""Seconds that stock callers may go on calling for."""
ONE, OTHER = a_target(), a_target(id="orders-0:orders:9090")


def an_event(outcome: Outcome, seconds: float = 0, command: DrainCommand | None = None, /, **facts: Any) -> Event:
    """An event of the usual pod's drain."""
    return make_event(command or a_command(), outcome, at(seconds), **facts)


def begun(seconds: float = 0, command: DrainCommand | None = None, /) -> Event:
    """The event of the watch when it has published the command."""
    return an_event(Outcome.requested, seconds, command, published_at=at(seconds + 0.1))


def out(
    seconds: float = 0.5, command: DrainCommand | None = None, /, *, safe: float | None = None, **facts: Any
) -> Event:
    """Its instance is out of service at every node; callers may use it for the window, or until ``safe``."""
    safe_at = at(seconds + WINDOW if safe is None else safe)
    return an_event(Outcome.out_of_service, seconds, command, **{"target": ONE, "safe_at": safe_at, **facts})


def an_end(seconds: float | None = 1, /, **facts: Any) -> PodEnd:
    """The usual pod, of the Deployment ``shop/orders``, has ended so many seconds after noon; None: no watch saw it."""
    usual: dict[str, Any] = {
        "cluster": "test",
        "drain_ids": (a_command().drain_id,),
        "namespace": "shop",
        "pod": "orders-0",
        "uid": "uid-1",
        "kind": "Deployment",
        "workload": "orders",
        "at": at(2 if seconds is None else seconds + 1),
        "ended_at": None if seconds is None else at(seconds),
        "end_cause": EndCause.unknown if seconds is None else EndCause.no_hook,
        "why": "no watch saw it end" if seconds is None else "it has no preStop hook",
    }
    return PodEnd(**{**usual, **facts})


def index_of(*entries: Event | PodEnd, timelines: bool = True, limit: int = 50_000) -> DrainIndex:
    """What is read in this order."""
    index = DrainIndex(timelines=timelines, limit=limit)
    for one in entries:
        if isinstance(one, PodEnd):
            index.apply_end(one)
        else:
            index.apply(one)
    return index


def record_of(*entries: Event | PodEnd) -> DrainRecord:
    """The usual pod's drain, read in this order."""
    return the_record(index_of(*entries))


def the_record(records: Iterable[DrainRecord]) -> DrainRecord:
    """The only one."""
    (record,) = records
    return record


def shut_down(
    ended_at: datetime, *, safe: float = WINDOW, end_cause: EndCause = EndCause.no_hook, why: str = "", **facts: Any
) -> DrainRecord:
    """A pod that was taken out of service at noon, and has ended then."""
    command = a_command(**facts)
    end = an_end(ended_at=ended_at, at=ended_at, end_cause=end_cause, why=why, drain_ids=(command.drain_id,))
    return record_of(begun(0, command), out(0, command, safe=safe), end)


def short_by(seconds: float, *, why: str = "it has no preStop hook", **facts: Any) -> DrainRecord:
    """A pod that should have served for so much longer."""
    return shut_down(at(WINDOW) - timedelta(seconds=seconds), why=why, **facts)
