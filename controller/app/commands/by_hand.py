"""``drain`` and ``restore``: one pod, by hand; ends when it has come to an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from controller.app.assembly import event_log, now, open_outbox, read_log, see_written
from controller.app.items_by_hand import drain_ids_of, drains_by_hand, restores_by_hand
from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import FINAL, Event, LogEntry, Outcome
from controller.domain.replay_plan import Requester
from controller.flows.publisher import Publisher
from controller.ops.tables import drains_table
from controller.settings import Settings
from controller.signals import beside, until_interrupted
from controller.terminal import report, terminal_width

OUTCOME_TIMEOUT = timedelta(minutes=2)
"""How long an outcome is waited for."""
POLL_INTERVAL = 0.2
"""Seconds between two looks at the outcomes."""


async def drain(settings: Settings, key: tuple[str, str], requester: Requester) -> int:
    """Take a living pod out of service; return the exit status."""
    return await _carry_out(settings, await drains_by_hand(settings, key, requester), {Outcome.out_of_service})


async def restore(settings: Settings, key: tuple[str, str], requester: Requester) -> int:
    """Put a living pod back that a drain has taken out; return the exit status."""
    return await _carry_out(settings, await restores_by_hand(settings, key, requester), {Outcome.restored})


async def _carry_out(settings: Settings, items: list[DrainCommand] | list[RestoreCommand], good: set[Outcome]) -> int:
    ids = drain_ids_of(items)
    records = await _send(settings, items, ids)
    print(drains_table(records, now(), width=terminal_width()), end="")
    return 0 if len(records) == len(ids) and all(record.state in good for record in records) else 1


async def _send(settings: Settings, items: Sequence[WorkItem], ids: set[str]) -> list[DrainRecord]:
    """Send the items, and return what the log holds about these drains from then on."""
    log, drains = event_log(settings, look_back=timedelta(minutes=1)), DrainIndex()
    requested_at = {item.requested_at for item in items}

    def apply(entry: LogEntry) -> None:
        if isinstance(entry, Event) and entry.requested_at in requested_at:
            drains.apply(entry)

    log.readers.append(apply)
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(beside(log.link.run))
        await read_log(log)
        outbox = await open_outbox(settings, opened)
        publisher = Publisher(outbox=outbox, clock=now)
        opened.push_async_callback(see_written, publisher)
        for item in items:
            await publisher.send(item)
        report(f"requested; waiting for the outcome ({', '.join(sorted(ids))})")

        if not await until_interrupted(_until_over(drains, ids)) or not _are_over(drains, ids):
            report("no outcome yet; it goes on by itself: eureka-drain show DRAIN_ID")
    return [record for one in sorted(ids) if (record := drains.get(one)) is not None]


async def _until_over(drains: DrainIndex, ids: set[str]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(OUTCOME_TIMEOUT.total_seconds()):
            while not _are_over(drains, ids):  # noqa: ASYNC110 - what is waited for is a fold over many events
                await asyncio.sleep(POLL_INTERVAL)


def _are_over(drains: DrainIndex, ids: set[str]) -> bool:
    records = [drains.get(one) for one in ids]
    return all(record and record.parts and record.state in FINAL | {Outcome.out_of_service} for record in records)
