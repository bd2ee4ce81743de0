"""Replays in the background, for a person at the page or the API: one at a time, remembered, and stopped on request.

A plan is never executed as it was shown, since the world has gone on: executing makes a new plan and runs that.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from loguru import logger

from controller.domain.drain_record import STATE_PRECEDENCE
from controller.domain.events import LogEntry, Outcome
from controller.domain.replay_plan import GOOD_ACTIONS, GOOD_ENDS, ReplayAction, ReplayItem, Requester
from controller.domain.requests import request_id
from controller.domain.selection import Selection
from controller.errors import BusyError, DrainControllerError
from controller.flows.ports import Clock
from controller.flows.publisher import Publisher
from controller.flows.replayer import Replayer, ReplayProgress

MAX_RUNS = 50
"""Replays that are remembered; the oldest goes first."""
MAX_ITEMS = 20_000
"""Drains of one replay."""
MAX_PLANS = 2
"""Plans that are made at a time."""
OUTCOME_TIMEOUT = timedelta(minutes=2)
"""How long after the last news an outcome is waited for."""


class ReplayState(StrEnum):
    """Where a whole replay stands."""

    running = "Running"
    stopping = "Stopping between two drains"
    stopped = "Stopped by hand"
    broken = "Broken off"
    bad = "Over, but not all of it went well"
    open = "Over, but some have no outcome yet"
    good = "Over: every one is out of service, gone or taken over"
    nothing = "Over: there was nothing left to drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayStep:
    """One drain of a replay."""

    item: ReplayItem
    is_sent: bool
    outcome: Outcome | None
    """What it came to; None while that is open."""
    reason: str
    """Why it stands there since the request."""

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to look at it."""
        if self.item.decision.action is ReplayAction.drain:
            return self.outcome is not None and self.outcome not in GOOD_ENDS
        return self.item.decision.action not in GOOD_ACTIONS

    @property
    def rank(self) -> tuple[bool, int]:
        """Sort those to look at first, then those without an outcome."""
        return not self.is_bad, STATE_PRECEDENCE.index(self.outcome) if self.outcome else -1


@dataclass(slots=True, kw_only=True)
class ReplayRun:
    """One replay, running or over."""

    id: str
    requester: Requester
    items: list[ReplayItem]
    replayer: Replayer
    per_second: float
    over_at: datetime | None = None
    trouble: str = ""
    stopped: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def to_drain(self) -> list[ReplayItem]:
        """What is sent."""
        return [item for item in self.items if item.decision.action is ReplayAction.drain]

    @property
    def progress(self) -> ReplayProgress:
        """How far it has come."""
        return self.replayer.progress

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many have come to which outcome."""
        return Counter(record.state for record in self.progress.settled.values())

    @property
    def steps(self) -> list[ReplayStep]:
        """Every drain of the plan, in its order."""
        sent = {item.drain_id for item in self.progress.sent}
        return [self._step(item, is_sent=item.drain_id in sent) for item in self.items]

    def _step(self, item: ReplayItem, *, is_sent: bool) -> ReplayStep:
        record = self.replayer.record_of(item.drain_id) if is_sent else None
        settled = self.progress.settled.get(item.drain_id)
        outcome, reason = settled.state if settled else None, str((record and record.reason) or "")
        return ReplayStep(item=item, is_sent=is_sent, outcome=outcome, reason=reason)

    @property
    def state(self) -> ReplayState:
        """Where it stands."""
        if self.over_at is None:
            return ReplayState.stopping if self.stopped else ReplayState.running
        if self.trouble:
            return ReplayState.broken
        if len(self.progress.sent) < len(self.to_drain):
            return ReplayState.stopped
        if any(step.is_bad for step in self.steps):
            return ReplayState.bad
        if self.progress.open:
            return ReplayState.open
        return ReplayState.good if self.progress.sent else ReplayState.nothing


class ReplayRuns:
    """All replays of this process. ``apply`` reads the event log."""

    def __init__(
        self,
        *,
        plan: Callable[[Selection, Requester, bool], Awaitable[list[ReplayItem]]],
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._publisher = publisher
        self._clock = clock
        self._known: OrderedDict[str, ReplayRun] = OrderedDict()
        self._planning = asyncio.Semaphore(MAX_PLANS)

    def apply(self, entry: LogEntry) -> None:
        """Take the next entry of the log."""
        for run in self._known.values():
            if run.over_at is None:
                run.replayer.apply(entry)

    async def plan(self, selection: Selection, requester: Requester, *, again: bool = False) -> list[ReplayItem]:
        """Make a plan; nothing is changed. BusyError when it is too large."""
        async with self._planning:
            items = await self._plan(selection, requester, again)
        if len(items) > MAX_ITEMS:
            raise BusyError(f"{len(items)} drains are too many for one replay here: choose fewer than {MAX_ITEMS}")
        return items

    async def execute(self, selection: Selection, requester: Requester, *, again: bool, per_second: float) -> ReplayRun:
        """Plan, and run what would be drained, in the background. BusyError while another one runs."""
        self._refuse_second()
        items = await self.plan(selection, requester, again=again)
        self._refuse_second()  # another one may have been planned meanwhile
        replayer = Replayer(publisher=self._publisher, requested_at=requester.at)
        run = ReplayRun(
            id=request_id(requester), requester=requester, items=items, replayer=replayer, per_second=per_second
        )
        self._known[run.id] = run
        while len(self._known) > MAX_RUNS:
            self._known.popitem(last=False)
        logger.bind(by=requester.by, drains=len(run.to_drain), reason=requester.why).info("replay begun")
        run.task = asyncio.create_task(self._run(run), name=f"replay {run.id}")
        return run

    def _refuse_second(self) -> None:
        if any(run.over_at is None for run in self._known.values()):
            raise BusyError("another replay is running: wait for its end, or stop it")

    def get(self, run_id: str) -> ReplayRun | None:
        """Return one of them."""
        return self._known.get(run_id)

    def stop(self, run: ReplayRun) -> None:
        """Send no more of it; what has been sent goes on."""
        if run.task is not None and not run.task.done():
            run.stopped = True
            run.task.cancel()

    async def close(self) -> None:
        """Stop what is running, because this process ends."""
        running = [run.task for run in self._known.values() if run.task is not None and not run.task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, run: ReplayRun) -> None:
        try:
            await run.replayer.send(run.to_drain, per_second=run.per_second)
            await run.replayer.wait(OUTCOME_TIMEOUT)
        except DrainControllerError as error:
            run.trouble = str(error)
        finally:
            run.over_at = self._clock()
            logger.bind(by=run.requester.by, sent=len(run.progress.sent)).info("replay over")
