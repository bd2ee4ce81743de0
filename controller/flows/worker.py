"""The worker: one message, one step, one result.

A drain command goes through flows/lifecycle, a restore through flows/restorer. Messages about the same pod are handled
one at a time; a repetition of a step that was seen through is dropped.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from loguru import logger

from controller.domain.bounded_map import BoundedMap
from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem, due_now, new_progress
from controller.domain.events import Outcome
from controller.domain.reason import Reason, ReasonCode
from controller.domain.staying_out import unwatched
from controller.domain.written_down import must_be_written
from controller.errors import BrokerError
from controller.flows.drain_log import DrainLog
from controller.flows.exclusion import Exclusion
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, HandlerResults, Proceed, Wait
from controller.flows.lifecycle import DrainLifecycle
from controller.flows.lookout import Lookout
from controller.flows.ports import Clock
from controller.flows.restorer import Restorer

MAX_STEPS = 20_000
"""Steps that were handled lately."""


class Worker:
    """The Eureka side, for one region."""

    def __init__(
        self, *, lifecycle: DrainLifecycle, restorer: Restorer, lookout: Lookout, log: DrainLog, clock: Clock
    ) -> None:
        self.lifecycle = lifecycle
        self.restorer = restorer
        self.lookout = lookout
        self._log = log
        self._clock = clock
        self._exclusion = Exclusion()
        self._handled: BoundedMap[str, datetime] = BoundedMap(MAX_STEPS)
        """When each was."""
        self._begun: set[str] = set()
        """Steps whose handling was not seen through: a takeover could not be written, or the task was cancelled."""

    async def handle(self, item: WorkItem, redelivered: bool) -> HandlerResults:
        """Take the item one step further. Raises BrokerError when a takeover could not be written: handle it again.

        Every replica of the watch sends each fresh command, and a crash between publishing and acknowledging repeats a
        later step. What was handled before is dropped, unless the broker has delivered this very message before: then
        nobody knows how far its first handling came.
        """
        async with self._exclusion.hold(*_pods_of(item)):
            key = _step_of(item)
            if key in self._handled and not redelivered and not self._is_asked_anew(item, self._handled[key]):
                return (Ack(),)
            results = await self._see_through(item, key, redelivered=redelivered)
            self._handled[key] = self._clock()
            return results

    def _is_asked_anew(self, item: WorkItem, handled_at: datetime) -> bool:
        """Return whether it is no repetition: the same cause, of a pod whose drain has ended in between."""
        is_fresh = isinstance(item, DrainCommand) and item.progress is None
        return is_fresh and self._log.ledger.has_ended_between(item.drain_id, handled_at, item.observed_at)

    async def _go_on(self, item: DrainCommand) -> HandlerResults:
        """Take an item further whose message was kept: it is no repetition, however often it comes to this point.

        Who goes on before the time has been woken by the lookout.
        """
        item = due_now(item, self._clock())
        async with self._exclusion.hold(*_pods_of(item)):
            return await self._see_through(item, f"{_step_of(item)} kept", redelivered=False)

    async def _see_through(self, item: WorkItem, key: str, *, redelivered: bool) -> HandlerResults:
        again = redelivered or key in self._begun
        self._begun.add(key)
        results = await self._contained(item, redelivered=again)
        self._begun.discard(key)
        step = item.progress.step + 1 if item.progress else 1
        return tuple(self._numbered(self._kept_or_written(item, results), step))

    @property
    def is_written(self) -> bool:
        """Whether the log has every event."""
        return self._log.is_written

    async def wait_until_written(self) -> None:
        """Return once the log has every event; a message may be acknowledged then. Its next step is sent before."""
        await self._log.wait_until_written()

    async def finish(self, within: timedelta) -> None:
        """Give what waits for the event log this long to be written."""
        await self._log.finish(within)

    async def _contained(self, item: WorkItem, *, redelivered: bool) -> HandlerResults:
        """Dead-letter what meets a mistake in this program: it must not stop the queue, nor be lost."""
        try:
            if isinstance(item, RestoreCommand):
                return await self.restorer.handle(item)
            return await self.lifecycle.handle(item, redelivered=redelivered)
        except BrokerError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"unexpected {type(error).__name__} in {where.name}, line {where.lineno}"
            reason = Reason(code=ReasonCode.internal_error, detail=detail)
            if isinstance(error, OverflowError):  # of the year 9999, say: nothing can be added to it
                reason = Reason(code=ReasonCode.invalid_message, detail="it holds a time that cannot be reckoned with")
            if isinstance(item, DrainCommand):
                await self.lifecycle.conclude(item, Outcome.failed, reason)
            else:
                logger.bind(drain=item.drain_id, pod=item.pod.key, region=item.region).error(f"restore: {detail}")
            return (DeadLetter(item=item, reason=reason),)

    def _kept_or_written(self, item: WorkItem, results: HandlerResults) -> HandlerResults:
        """Keep a message whose drain only waits; write down at once what must not be lost, and wait then.

        Both cost less than the way through the delay queues.
        """
        if len(results) > 1:
            return tuple(
                self._unwatched(one, one.item) if isinstance(one, Delay) and isinstance(one.item, DrainCommand) else one
                for one in results
            )
        if not isinstance(delay := results[0], Delay) or not isinstance(delay.item, DrainCommand):
            return results
        assert delay.item.progress is not None
        if delay.after <= timedelta(0) or must_be_written(delay.item, item.progress, delay.item.progress):
            return (Proceed(item=delay.item),)
        return (
            Wait(
                item=delay.item,
                after=delay.after,
                alone=self._unwatched(delay, delay.item),
                go_on=partial(self._go_on, delay.item),
                sooner=partial(self.lookout.over, delay.item),
            ),
        )

    def _unwatched(self, delay: Delay, command: DrainCommand) -> Delay:
        """Return what goes through the delay queues, where the lookout wakes nobody."""
        now = self._clock()
        item = unwatched(command, now)
        assert item.progress is not None
        return Delay(item=item, after=min(delay.after, max(item.progress.due_at - now, timedelta(0))))

    def _numbered(self, results: HandlerResults, step: int) -> Iterator[HandlerResult]:
        """Give what is published the number of its step."""
        now = self._clock()
        for result in results:
            match result:
                case Wait(item=item, alone=alone):
                    kept, sent = _with_step(item, step, now), _with_step(alone.item, step, now)
                    yield replace(result, item=kept, alone=replace(alone, item=sent))
                case Delay(item=item) | Proceed(item=item):
                    yield replace(result, item=_with_step(item, step, now))
                case DeadLetter(item=item):
                    afresh = replace(item.progress or new_progress(now), step=0, chain=now.isoformat())
                    yield replace(result, item=replace(item, progress=afresh))
                case Ack():
                    yield result
                case _:
                    assert_never(result)


def _with_step(item: WorkItem, step: int, now: datetime) -> WorkItem:
    return replace(item, progress=replace(item.progress or new_progress(now), step=step))


def _pods_of(item: WorkItem) -> tuple[str, ...]:
    """Return the uids of the pods whose instances an item is about."""
    return (item.pod.uid, *(held.uid for held in item.held)) if isinstance(item, RestoreCommand) else (item.pod.uid,)


def _step_of(item: WorkItem) -> str:
    """Return what distinguishes a step from every other: a repetition of it has the same."""
    progress = item.progress
    # A command that is let through once more, after its drain has ended, takes the steps of the first handling again.
    where = f"{progress.chain} {progress.first_at} {progress.step}" if progress else "fresh"
    if isinstance(item, RestoreCommand):
        # A pod may be restored more than once, and under several ids.
        return " ".join((item.drain_id, where, str(item.observed_at), *(str(held.key) for held in item.held)))
    # A pod may be drained more than once: its node is lost, comes back, is lost again; at last the pod is deleted.
    asked = f"{item.drain_id} {item.cause} {item.pod.unready_at} {item.requested_at}"
    if progress is None:
        return f"{asked} {item.requested_by}"
    # Of two handlings of one drain one may know of an instance, or of an override to be given back, and the other not.
    known = sorted((target.app, target.id, target.may_have_override) for target in progress.targets)
    return f"{asked} {where} {known}"
