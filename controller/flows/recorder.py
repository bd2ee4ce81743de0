"""Writing down what became of a drain: the event log first, then the metrics and a line in the process's log."""

from __future__ import annotations

from loguru import logger

from controller.domain.events import Event, Outcome
from controller.flows.ports import Observer, Outbox
from controller.flows.priority import PriorityGate

WARNING_OUTCOMES = (Outcome.refused, Outcome.failed)


class Recorder:
    """The one place where events are recorded."""

    def __init__(self, *, outbox: Outbox, observer: Observer, priority: PriorityGate) -> None:
        self._outbox = outbox
        self._observer = observer
        self._priority = priority

    async def record(self, event: Event) -> None:
        """Append the event, once nothing urgent is left to do; raises BrokerError when it was not confirmed."""
        await self._priority.wait_until_idle()
        await self._outbox.record(event)
        self._observer.recorded(event)
        in_trouble = event.outcome is Outcome.requested and bool(event.reason)
        logger.bind(
            drain=event.drain_id,
            pod=f"{event.namespace}/{event.pod}",
            region=event.region,
            cause=event.cause.value,
            app=event.app,
            instance=event.instance_id,
            reason=event.reason,
            attempt=event.attempt if event.attempt > 1 else None,
        ).log("WARNING" if in_trouble or event.outcome in WARNING_OUTCOMES else "INFO", f"drain {event.outcome.value}")
