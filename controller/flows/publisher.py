"""Sending a drain command and writing down what becomes of it: the one place where both happen.

A command is sent first and recorded afterwards: a process that ends in between sends that one again, which changes
nothing; the other order would lose it.

No command waits for the event log. What the log does not take at once is kept, in its order, and written as soon as the
log takes it; whoever ends waits for that first (``finish``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any

from loguru import logger

from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.events import LogEntry, Outcome, PodGoneEvent, TakeoverEvent, make_event
from controller.errors import BrokerError
from controller.flows.backoff import Backoff
from controller.flows.bounded_queue import BoundedQueue
from controller.flows.ports import Clock, Observer, Outbox
from controller.flows.priority import PriorityGate

WARNING_OUTCOMES = (Outcome.retrying, Outcome.refused, Outcome.failed)
MAX_WAITING = 20_000
"""Events that wait for the log, the newest ones; one takes about 2 kB."""
RECORD_TIMEOUT = timedelta(seconds=5)
"""How long the log may keep anybody waiting."""
MAX_BACKOFF = timedelta(seconds=5)
"""Between two tries to write what waits."""


class Publisher:
    """Sends and records. With a ``priority`` gate, commands go before everything that is only written down."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        clock: Clock,
        observer: Observer | None = None,
        priority: PriorityGate | None = None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._observer = observer
        self._priority = priority
        self._waiting: BoundedQueue[LogEntry] = BoundedQueue(MAX_WAITING, what="events wait for the event log")
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Return how many events the log has not taken."""
        return len(self._waiting)

    async def send(self, command: WorkItem) -> None:
        """Publish a command to its region's queue, and note that a drain was requested.

        BrokerError when the broker did not confirm the command: do it again.
        """
        with self._priority.urgent() if self._priority else nullcontext():
            await self._outbox.send(command)
        if not isinstance(command, DrainCommand):
            return
        if self._observer is not None:
            self._observer.published(command.cause)
        self.note(make_event(command, Outcome.requested, command.observed_at, published_at=self._clock()))

    async def send_again(self, command: WorkItem) -> None:
        """Publish a command that has been recorded before. BrokerError when the broker did not confirm it."""
        await self._outbox.send(command)

    def note(self, event: LogEntry) -> None:
        """Record an event that nobody waits for."""
        self._begin(self._note(event), f"note {event.drain_id}")

    async def _note(self, event: LogEntry) -> None:
        try:
            await self.record(event)
        except Exception as error:
            _report_mistake(event, error)

    async def record(self, event: LogEntry) -> None:
        """Append to the event log, or leave it to those that wait for the log, when it keeps us waiting too long."""
        await self._wait_until_idle()
        if not self._waiting:
            with suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(RECORD_TIMEOUT.total_seconds()):
                    await self._write(event)
                return
            logger.bind(drain=event.drain_id).warning("the event log does not take an event; it is written later")
        self._waiting.put(event)
        if self._writing is None or self._writing.done():
            self._writing = self._begin(self._write_waiting(), "write what waits")

    async def _write_waiting(self) -> None:
        backoff = Backoff(longest=MAX_BACKOFF)
        while self._waiting:
            event = await self._waiting.first()
            try:
                await self.write(event)
            except BrokerError:
                await backoff.wait()
                continue
            except Exception as error:  # a mistake of ours about one event must not lose those behind it
                _report_mistake(event, error)
            backoff.reset()
            self._waiting.done(event)
        logger.info("the event log has taken everything that waited")

    @property
    def is_written(self) -> bool:
        """Whether nothing waits for the log."""
        return not self._tasks

    async def wait_until_written(self) -> None:
        """Return once nothing waits for the log: never, while it takes nothing."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def wait_until_noted_is_written(self) -> None:
        """Return once the log has taken what was noted so far, and whatever waits: never, while it takes nothing."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        if self._waiting:
            await self.wait_until_written()

    async def finish(self, within: timedelta) -> int:
        """Give what waits this long to be written; return how many events are lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await self.wait_until_written()
        lost = len(self._tasks) - (self._writing in self._tasks) + len(self._waiting)
        if lost:
            logger.bind(events=lost).warning("events are lost: the event log did not take them")
        return lost

    async def write(self, entry: LogEntry) -> None:
        """Append to the event log, once nothing urgent is left to do; then count it, and write a line.

        BrokerError when it was not confirmed: do it again.
        """
        await self._wait_until_idle()
        await self._write(entry)

    async def _wait_until_idle(self) -> None:
        if self._priority is not None:
            await self._priority.wait_until_idle()

    async def _write(self, entry: LogEntry) -> None:
        await self._outbox.record(entry)
        if isinstance(entry, PodGoneEvent):
            return
        if isinstance(entry, TakeoverEvent):
            successor, instance = entry.successor.key, entry.instance_id
            logger.bind(drain=entry.drain_id, pod=successor, instance=instance).info("drain may be taken over")
            return
        if self._observer is not None:
            self._observer.recorded(entry)
        logger.bind(
            drain=entry.drain_id,
            pod=f"{entry.namespace}/{entry.pod}",
            region=entry.region,
            cause=entry.cause.value,
            app=entry.app,
            instance=entry.instance_id,
            code=entry.reason.code.value if entry.reason else "",
            reason=str(entry.reason or ""),
            attempt=entry.attempt if entry.attempt > 1 else None,
        ).log("WARNING" if entry.outcome in WARNING_OUTCOMES else "INFO", f"drain {entry.outcome.value}")

    def count_retry(self, region: str) -> None:
        """Count a step that something stood in the way of."""
        if self._observer is not None:
            self._observer.retried(region)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _report_mistake(event: LogEntry, error: Exception) -> None:
    log = logger.bind(drain=event.drain_id, error=f"{type(error).__name__}: {error}")
    log.error("an event cannot be written")
