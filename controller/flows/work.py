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

from controller.domain.commands import Command
from controller.domain.events import Outcome
from controller.domain.ledger import Ledger
from controller.domain.restore import Order, Restore
from controller.domain.standing import TakenLately
from controller.errors import BrokerError
from controller.flows.course import Course
from controller.flows.exclusion import Exclusion
from controller.flows.journal import Journal
from controller.flows.ports import Clock, EventLog, Observer, Outbox, Registry
from controller.flows.restore import Restoring
from controller.flows.steps import Policy, begun
from controller.flows.urgency import Urgency
from controller.flows.verdicts import Done, Park, Retry, Verdict, Verdicts

REMEMBERED = 20_000
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
        urgency: Urgency,
        ledger: Ledger,
        log: EventLog,
        taken_lately: TakenLately,
    ) -> None:
        self._clock = clock
        journal = Journal(outbox=outbox, observer=observer, urgency=urgency)
        slots = asyncio.Semaphore(policy.concurrency)
        self._course = Course(
            region=region,
            registry=registry,
            policy=policy,
            clock=clock,
            observer=observer,
            urgency=urgency,
            journal=journal,
            ledger=ledger,
            log=log,
            slots=slots,
            taken_lately=taken_lately,
        )
        self._restoring = Restoring(
            registry=registry, policy=policy, clock=clock, journal=journal, ledger=ledger, log=log, slots=slots
        )
        self._exclusion = Exclusion()
        self._taken_up: OrderedDict[str, None] = OrderedDict()
        self._begun: set[str] = set()
        """Steps whose handling was not seen through: an event could not be written, or the task was cancelled."""

    async def handle(self, order: Order, redelivered: bool) -> Verdicts:
        """Take the order one step further. Raises BrokerError when an event could not be written: handle it again.

        Every replica of the watch sends each fresh command, and a crash between publishing and acknowledging repeats a
        later step. What was taken up before is dropped, unless the broker has delivered this very message before: then
        nobody knows how far its first handling came.
        """
        async with self._exclusion.hold(*_pods_of(order)):
            key = _step_of(order)
            if key in self._taken_up and not redelivered:
                return (Done(),)
            again = redelivered or key in self._begun
            self._begun.add(key)
            verdicts = await self._guarded(order, redelivered=again)
            self._begun.discard(key)
            self._taken_up[key] = None
            while len(self._taken_up) > REMEMBERED:
                self._taken_up.popitem(last=False)
            step = order.progress.step + 1 if order.progress else 1
            return tuple(self._numbered(verdict, step) for verdict in verdicts)

    def _numbered(self, verdict: Verdict, step: int) -> Verdict:
        now = self._clock()
        match verdict:
            case Retry(order=order):
                return replace(verdict, order=replace(order, progress=replace(order.progress or begun(now), step=step)))
            case Park(order=order):
                afresh = replace(order.progress or begun(now), step=0, chain=now.isoformat())
                return replace(verdict, order=replace(order, progress=afresh))
            case Done():
                return verdict

    async def _guarded(self, order: Order, *, redelivered: bool) -> Verdicts:
        """A mistake in this program must not stop the queue, nor lose the drain: it goes to the dead letters."""
        try:
            if isinstance(order, Restore):
                return await self._restoring.step(order)
            return await self._course.step(order, redelivered=redelivered)
        except BrokerError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"unexpected {type(error).__name__} in {where.name}, line {where.lineno}"
            if isinstance(order, Command):
                await self._course.conclude(order, Outcome.failed, why)
            else:
                logger.bind(drain=order.drain_id, pod=order.pod.key, region=order.region).error(f"restore: {why}")
            return (Park(order=order, why=why),)


def _pods_of(order: Order) -> tuple[str, ...]:
    """The pods whose instances an order is about, by uid."""
    return (order.pod.uid, *(taken.uid for taken in order.taken)) if isinstance(order, Restore) else (order.pod.uid,)


def _step_of(order: Order) -> str:
    """What tells a step from every other: a repetition of it has the same."""
    progress = order.progress
    where = f"{progress.chain} {progress.step}" if progress else "fresh"
    if isinstance(order, Restore):
        # A pod may be restored more than once, and under several ids.
        return " ".join((order.drain_id, where, str(order.observed_at), *(str(taken.key) for taken in order.taken)))
    if progress is None:
        where = f"{order.cause} {order.requested_by} {order.requested_at}"
    return f"{order.drain_id} {where}"
