"""``drains`` and ``show``: what the event log says, for people and for scripts. Nothing is written anywhere."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from controller.app.assembly import ends_log, event_log, everything, now, read_log
from controller.app.exit_status import FAILED, finished, terminal_width
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.timeline import moments
from controller.errors import BrokerError
from controller.ops.answers import drain_answer, timeline_answer
from controller.ops.tables import drains_table, story_text
from controller.rabbit.stream import StreamFollower
from controller.settings import Settings
from controller.signals import beside, until_interrupted

EXTRA_LOOKBACK = timedelta(minutes=15)
"""How much further back than asked the log is read: a drain that goes on then has begun before."""
SEARCH_LOOKBACKS = (timedelta(hours=2), timedelta(days=1), timedelta(days=3650))
"""How far back one drain is looked for: seldom is it an old one."""


def drains(settings: Settings, selection: Selection, *, as_json: bool, follow: bool) -> int:
    """Print the drains that are wanted; the exit status."""
    return 1 if finished(_drains(settings, selection, as_json=as_json, follow=follow), plain=True) is FAILED else 0


def show(settings: Settings, drain_id: str, *, as_json: bool) -> int:
    """Print one drain's timeline; the exit status."""
    record = finished(find_record(settings, drain_id), plain=True)
    if record is FAILED:
        return 1
    if record is None:
        print(f"eureka-drain: the event log tells nothing of a drain {drain_id}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(timeline_answer(record, now())))
    else:
        print(story_text(record, moments(record, now()), now(), width=terminal_width()), end="")
    return 0


async def read_drains(
    settings: Settings, history: DrainIndex, *, look_back: timedelta, wanted: Callable[[bytes], bool] = everything
) -> None:
    """Read both streams into a history. BrokerError when the event log cannot be read."""
    async with _following(settings, history, look_back=look_back, wanted=wanted):
        pass


@asynccontextmanager
async def _following(
    settings: Settings, history: DrainIndex, *, look_back: timedelta, wanted: Callable[[bytes], bool] = everything
) -> AsyncIterator[tuple[StreamFollower[Event], StreamFollower[PodEnd]]]:
    """Both streams, once they have been read into a history. Without the pods' ends everything else can be told."""
    log = event_log(settings, look_back=look_back, wanted=wanted)
    ends = ends_log(settings, look_back=look_back, wanted=wanted)
    log.readers.append(history.apply)
    ends.readers.append(history.apply_end)
    async with beside(log.link.run), beside(ends.link.run):
        await read_log(log)
        try:
            await read_log(ends)
        except BrokerError as error:
            print(f"how pods left is not known: {error}", file=sys.stderr)
        yield log, ends


async def find_record(settings: Settings, drain_id: str) -> DrainRecord | None:
    """One drain with its timeline, however old; the newest part of the log is searched first."""
    record: DrainRecord | None = None
    mentioned = partial(_mentions, drain_id.encode())
    for look_back in SEARCH_LOOKBACKS:
        history = DrainIndex(timelines=True)
        await read_drains(settings, history, look_back=look_back, wanted=mentioned)
        record = history.get(drain_id) or record
        if record is not None and record.facts is not None:
            return record
    return record


def _mentions(drain_id: bytes, body: bytes) -> bool:
    return drain_id in body


async def _drains(settings: Settings, selection: Selection, *, as_json: bool, follow: bool) -> None:
    history = DrainIndex()
    since = selection.since or now() - settings.broker.events_kept
    async with _following(settings, history, look_back=now() - since + EXTRA_LOOKBACK) as (log, ends):
        found = history.select(selection)
        _print(found, as_json=as_json)
        if not found and not follow:
            kind = "" if selection == Selection(since=selection.since) else " of this kind"
            print(f"no drains{kind} since {since:%Y-%m-%d %H:%M:%S}Z", file=sys.stderr)
        if history.forgotten:
            print(f"{history.forgotten} older drains are left out: choose a shorter --since", file=sys.stderr)
        if follow:
            await until_interrupted(_follow(log, ends, history, selection, as_json=as_json, begun=bool(found)))


async def _follow(
    log: StreamFollower[Event],
    ends: StreamFollower[PodEnd],
    history: DrainIndex,
    selection: Selection,
    *,
    as_json: bool,
    begun: bool,
) -> None:
    """Print each drain again whenever something is told of it."""
    changed: asyncio.Queue[DrainRecord] = asyncio.Queue()

    def note(event: Event) -> None:
        record = history.apply(event)
        if record is not None and selection.wants(record):
            changed.put_nowait(record)

    def apply_end(end: PodEnd) -> None:
        for record in history.apply_end(end):
            if selection.wants(record):
                changed.put_nowait(record)

    log.readers[:] = [note]
    ends.readers[:] = [apply_end]
    while True:
        _print([await changed.get()], as_json=as_json, head=not begun)
        begun = True


def _print(records: list[DrainRecord], *, as_json: bool, head: bool = True) -> None:
    if as_json:
        for record in records:
            print(json.dumps(drain_answer(record, now())))
    elif records:
        print(drains_table(records, now(), width=terminal_width(), head=head), end="")
    sys.stdout.flush()
