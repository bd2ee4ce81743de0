"""Sending a drain command and writing down what becomes of it: the one place where both happen.

A command is sent first and recorded afterwards: a process that ends in between sends that one again, which changes
nothing; the other order would lose it.
"""

from __future__ import annotations

from contextlib import nullcontext

from loguru import logger

from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.events import Event, LogEntry, Outcome, make_event
from controller.flows.ports import Clock, Observer, Outbox
from controller.flows.priority import PriorityGate

WARNING_OUTCOMES = (Outcome.retrying, Outcome.refused, Outcome.failed)


class Publisher:
    """Sends and records. BrokerError when the broker did not confirm: do it again.

    With a ``priority`` gate, commands go before everything that is only written down.
    """

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

    async def send(self, command: WorkItem) -> None:
        """Publish a command to its region's queue, and record that a drain was requested."""
        with self._priority.urgent() if self._priority else nullcontext():
            await self._outbox.send(command)
        if not isinstance(command, DrainCommand):
            return
        if self._observer is not None:
            self._observer.published(command.cause)
        requested = make_event(command, Outcome.requested, command.observed_at, published_at=self._clock())
        await self.record(requested)

    async def record(self, entry: LogEntry) -> None:
        """Append to the event log, once nothing urgent is left to do; then count it, and write a line."""
        if self._priority is not None:
            await self._priority.wait_until_idle()
        await self._outbox.record(entry)
        if not isinstance(entry, Event):
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
