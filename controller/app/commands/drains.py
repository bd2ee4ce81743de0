"""``drains``, ``rollouts`` and ``show``: the event log, for people and for scripts. Nothing is written anywhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from controller.app.assembly import ends_log, event_log, mentions, now, read_log
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import LogEntry
from controller.domain.rollouts import rollouts_of
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.timeline import moments
from controller.errors import BrokerError
from controller.ops.answers import drain_answer, json_text, timeline_answer
from controller.ops.rollout_answers import rollout_answer
from controller.ops.rollout_tables import rollouts_text
from controller.ops.tables import drain_text, drains_table
from controller.rabbit.stream import StreamFollower
from controller.settings import Settings
from controller.signals import beside, until_interrupted
from controller.terminal import report, terminal_width

Streams = tuple[StreamFollower[LogEntry], StreamFollower[PodEnd]]
EXTRA_LOOKBACK = timedelta(hours=1)
"""How much further back than asked the log is read: a drain may have begun before, and its beginning is needed."""
SEARCH_LOOKBACKS = (timedelta(hours=2), timedelta(days=1), timedelta(days=3650))
"""How far back one drain is searched for: seldom is it an old one."""


async def drains(settings: Settings, selection: Selection, *, as_json: bool, follow: bool) -> int:
    """Print the drains that are wanted; return the exit status."""
    index = DrainIndex(ids=selection.ids)
    async with _selected(settings, index, selection) as (log, ends):
        found = index.select(selection)
        _print(found, as_json=as_json)
        if not found and not follow:
            kind = "" if selection == Selection(since=selection.since) else " of this kind"
            report(f"no drains{kind} since {_since(settings, selection):%Y-%m-%d %H:%M:%S}Z")
        _report_forgotten(index)
        if follow:
            await until_interrupted(_follow(log, ends, index, selection, as_json=as_json, begun=bool(found)))
    return 0


async def rollouts(settings: Settings, selection: Selection, *, as_json: bool) -> int:
    """Print the drains that are wanted as rollouts; return the exit status."""
    index = DrainIndex(ids=selection.ids)
    async with _selected(settings, index, selection):
        found = rollouts_of(index.select(selection))
    if as_json:
        for one in found:
            print(json_text(rollout_answer(one, now())))
    else:
        print(rollouts_text(found, now(), width=terminal_width()), end="")
    if not found:
        report(f"no rollouts since {_since(settings, selection):%Y-%m-%d %H:%M:%S}Z")
    _report_forgotten(index)
    return 0


async def show(settings: Settings, drain_id: str, *, as_json: bool) -> int:
    """Print one drain's timeline; return the exit status."""
    record = await find_record(settings, drain_id)
    if record is None:
        report(f"eureka-drain: the event log holds nothing about a drain {drain_id}")
        return 1
    if as_json:
        print(json_text(timeline_answer(record, now())))
    else:
        print(drain_text(record, moments(record, now()), now(), width=terminal_width()), end="")
    return 0


async def read_selected(settings: Settings, selection: Selection, *, limit: int) -> list[DrainRecord]:
    """Return the drains that the filters choose, from the event log. BrokerError when it cannot be read."""
    index = DrainIndex(limit=limit, ids=selection.ids)
    async with _selected(settings, index, selection):
        return index.select(selection)


async def find_record(settings: Settings, drain_id: str) -> DrainRecord | None:
    """Return one drain with its timeline, however old."""
    return (await find_records(settings, [drain_id])).get(drain_id)


async def find_records(settings: Settings, ids: Collection[str]) -> dict[str, DrainRecord]:
    """Return drains with their timelines, however old; the newest part of the log is searched first."""
    found: dict[str, DrainRecord] = {}
    for look_back in SEARCH_LOOKBACKS:
        sought = [one for one in ids if one not in found or found[one].facts is None]
        if not sought:
            break
        index = DrainIndex(timelines=True, ids=sought)
        async with _following(settings, index, look_back=look_back, ids=sought):
            found |= {one: record for one in sought if (record := index.get(one)) is not None}
    return found


def _report_forgotten(index: DrainIndex) -> None:
    if index.forgotten:
        report(f"{index.forgotten} older drains are left out: choose a shorter --since")


def _since(settings: Settings, selection: Selection) -> datetime:
    return selection.since or now() - settings.broker.events_kept


def _selected(settings: Settings, index: DrainIndex, selection: Selection) -> AbstractAsyncContextManager[Streams]:
    look_back = now() - _since(settings, selection) + EXTRA_LOOKBACK
    return _following(settings, index, look_back=look_back, ids=selection.ids)


@asynccontextmanager
async def _following(
    settings: Settings, index: DrainIndex, *, look_back: timedelta, ids: Collection[str]
) -> AsyncIterator[Streams]:
    """Read both streams into an index, and follow them. The pods' ends may be missing; the events may not."""
    wanted = mentions(ids)
    log = event_log(settings, look_back=look_back, wanted=wanted)
    ends = ends_log(settings, look_back=look_back, wanted=wanted)
    log.readers.append(index.apply)
    ends.readers.append(index.apply_end)
    async with beside(log.link.run), beside(ends.link.run):
        await read_log(log)
        try:
            await read_log(ends)
        except BrokerError as error:
            report(f"the pods' shutdowns are not known: {error}")
        yield log, ends


async def _follow(
    log: StreamFollower[LogEntry],
    ends: StreamFollower[PodEnd],
    index: DrainIndex,
    selection: Selection,
    *,
    as_json: bool,
    begun: bool,
) -> None:
    """Print each drain again at each of its events."""
    changed: asyncio.Queue[DrainRecord] = asyncio.Queue()

    def apply(entry: LogEntry) -> None:
        record = index.apply(entry)
        if record is not None and selection.wants(record):
            changed.put_nowait(record)

    def apply_end(end: PodEnd) -> None:
        for record in index.apply_end(end):
            if selection.wants(record):
                changed.put_nowait(record)

    log.readers[:] = [apply]
    ends.readers[:] = [apply_end]
    while True:
        _print([await changed.get()], as_json=as_json, head=not begun)
        begun = True


def _print(records: list[DrainRecord], *, as_json: bool, head: bool = True) -> None:
    if as_json:
        for record in records:
            print(json_text(drain_answer(record, now())))
    elif records:
        print(drains_table(records, now(), width=terminal_width(), head=head), end="")
    sys.stdout.flush()
