"""The worker: one order, one step, one verdict.

Order of events for a fresh drain command: find the pod's instances in the region, take each out of service at every
node (flows/drain), write that down, and come back through the delay ladder to retire it (flows/retire). A restore looks
at the ids that a living pod may have taken over (flows/restore).
"""

from __future__ import annotations

import asyncio
import traceback
from collections import OrderedDict
from dataclasses import replace

from loguru import logger

from controller.domain.commands import DrainCommand
from controller.domain.events import Outcome
from controller.domain.guard import RecentTakeOuts
from controller.domain.ledger import Ledger
from controller.domain.takeover import RestoreCommand, WorkItem
from controller.errors import BrokerError
from controller.flows.exclusion import Exclusion
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, HandlerResults
from controller.flows.lifecycle import DrainLifecycle
from controller.flows.ports import Clock, EventLog, Observer, Outbox, Registry
from controller.flows.priority import PriorityGate
from controller.flows.recorder import Recorder
from controller.flows.restore import Restoring
from controller.flows.steps import Policy, new_progress

MAX_STEPS = 20_000
"""Steps that were taken up lately."""


class Worker:
    """The Eureka side of the story, for one region."""

    def __init__(
        self,
        *,
        region: str,
        registry: Registry,
        outbox: Outbox,
        policy: Policy,
        clock: Clock,
        observer: Observer,
        priority: PriorityGate,
        ledger: Ledger,
        log: EventLog,
        recent_take_outs: RecentTakeOuts,
    ) -> None:
        self._clock = clock
        recorder = Recorder(outbox=outbox, observer=observer, priority=priority)
        slots = asyncio.Semaphore(policy.concurrency)
        self._course = DrainLifecycle(
            region=region,
            registry=registry,
            policy=policy,
            clock=clock,
            observer=observer,
            priority=priority,
            recorder=recorder,
            ledger=ledger,
            log=log,
            slots=slots,
            recent_take_outs=recent_take_outs,
        )
        self._restoring = Restoring(
            registry=registry, policy=policy, clock=clock, recorder=recorder, ledger=ledger, log=log, slots=slots
        )
        self._exclusion = Exclusion()
        self._taken_up: OrderedDict[str, None] = OrderedDict()
        self._begun: set[str] = set()
        """Steps whose handling was not seen through: an event could not be written, or the task was cancelled."""

    async def handle(self, item: WorkItem, redelivered: bool) -> HandlerResults:
        """Take the order one step further. Raises BrokerError when an event could not be written: handle it again.

        Every replica of the watch sends each fresh command, and a crash between publishing and acknowledging repeats a
        later step. What was taken up before is dropped, unless the broker has delivered this very message before: then
        nobody knows how far its first handling came.
        """
        async with self._exclusion.hold(*_pods_of(item)):
            key = _step_of(item)
            if key in self._taken_up and not redelivered:
                return (Ack(),)
            again = redelivered or key in self._begun
            self._begun.add(key)
            verdicts = await self._guarded(item, redelivered=again)
            self._begun.discard(key)
            self._taken_up[key] = None
            while len(self._taken_up) > MAX_STEPS:
                self._taken_up.popitem(last=False)
            step = item.progress.step + 1 if item.progress else 1
            return tuple(self._numbered(verdict, step) for verdict in verdicts)

    def _numbered(self, verdict: HandlerResult, step: int) -> HandlerResult:
        now = self._clock()
        match verdict:
            case Delay(item=item):
                return replace(
                    verdict, item=replace(item, progress=replace(item.progress or new_progress(now), step=step))
                )
            case DeadLetter(item=item):
                afresh = replace(item.progress or new_progress(now), step=0, chain=now.isoformat())
                return replace(verdict, item=replace(item, progress=afresh))
            case Ack():
                return verdict

    async def _guarded(self, item: WorkItem, *, redelivered: bool) -> HandlerResults:
        """A mistake in this program must not stop the queue, nor lose the drain: it goes to the dead letters."""
        try:
            if isinstance(item, RestoreCommand):
                return await self._restoring.step(item)
            return await self._course.step(item, redelivered=redelivered)
        except BrokerError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"unexpected {type(error).__name__} in {where.name}, line {where.lineno}"
            if isinstance(item, DrainCommand):
                await self._course.conclude(item, Outcome.failed, why)
            else:
                logger.bind(drain=item.drain_id, pod=item.pod.key, region=item.region).error(f"restore: {why}")
            return (DeadLetter(item=item, why=why),)


def _pods_of(item: WorkItem) -> tuple[str, ...]:
    """The pods whose instances an order is about, by uid."""
    return (item.pod.uid, *(held.uid for held in item.held)) if isinstance(item, RestoreCommand) else (item.pod.uid,)


def _step_of(item: WorkItem) -> str:
    """What tells a step from every other: a repetition of it has the same."""
    progress = item.progress
    where = f"{progress.chain} {progress.step}" if progress else "fresh"
    if isinstance(item, RestoreCommand):
        # A pod may be restored more than once, and under several ids.
        return " ".join((item.drain_id, where, str(item.observed_at), *(str(held.key) for held in item.held)))
    if progress is None:
        where = f"{item.cause} {item.requested_by} {item.requested_at}"
    return f"{item.drain_id} {where}"
