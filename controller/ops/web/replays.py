"""Replays from the page and the API: a plan is made; executing it makes a new one and runs that, one at a time.

A plan is never executed as it was shown: meanwhile the world has gone on. What is executed is what holds then.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from loguru import logger

from controller.domain.drain_record import DrainRecord
from controller.domain.replay_plan import ReplayAction, ReplayItem, Requester
from controller.domain.selection import Selection
from controller.errors import DrainControllerError
from controller.flows.ports import Outbox
from controller.flows.replayer import Replayer, ReplayProgress

MAX_EXECUTIONS = 50
"""Executions that can be looked at."""
MAX_ITEMS = 20_000
OUTCOME_TIMEOUT = timedelta(minutes=2)


class BusyError(DrainControllerError):
    """Another replay is running."""


@dataclass(slots=True, kw_only=True)
class Execution:
    """One replay, running or over."""

    id: str
    requester: Requester
    items: list[ReplayItem]
    replay: Replayer
    a_second: float
    over_at: datetime | None = None
    trouble: str = ""
    stopped: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def to_drain(self) -> list[ReplayItem]:
        """What is sent."""
        return [item for item in self.items if item.judged.verdict is ReplayAction.drain]

    @property
    def came(self) -> ReplayProgress:
        """How far it has come."""
        return self.replay.came

    @property
    def outcomes(self) -> Counter[str]:
        """How many have come to which outcome."""
        return Counter(record.state.value for record in self.came.settled.values())


class Replays:
    """All of them. ``note`` reads the event log."""

    def __init__(
        self,
        *,
        plan: Callable[[Selection, Requester, bool], Awaitable[list[ReplayItem]]],
        outbox: Outbox,
        clock: Callable[[], datetime],
    ) -> None:
        self._plan = plan
        self._outbox = outbox
        self._clock = clock
        self._known: OrderedDict[str, Execution] = OrderedDict()
        self._planning = asyncio.Semaphore(2)

    def apply(self, event: Any) -> None:
        """Take the next event of the log."""
        for execution in self._known.values():
            if execution.over_at is None:
                execution.replay.apply(event)

    async def plan(self, selection: Selection, requester: Requester, *, again: bool = False) -> list[ReplayItem]:
        """Make a plan. Nothing is changed."""
        async with self._planning:
            items = await self._plan(selection, requester, again)
        if len(items) > MAX_ITEMS:
            raise BusyError(f"{len(items)} drains are too many for one replay here: choose fewer than {MAX_ITEMS}")
        return items

    async def execute(self, selection: Selection, requester: Requester, *, again: bool, a_second: float) -> Execution:
        """Plan, and run what would be drained, in the background."""
        self._refuse_second()
        items = await self.plan(selection, requester, again=again)
        self._refuse_second()  # another one may have been planned meanwhile
        replay = Replayer(outbox=self._outbox, clock=self._clock, requested_at=requester.at)
        execution = Execution(
            id=secrets.token_hex(8), requester=requester, items=items, replay=replay, a_second=a_second
        )
        self._known[execution.id] = execution
        while len(self._known) > MAX_EXECUTIONS:
            self._known.popitem(last=False)
        logger.bind(by=requester.by, drains=len(execution.to_drain), reason=requester.why).info("replay begun")
        execution.task = asyncio.create_task(self._run(execution), name=f"replay {execution.id}")
        return execution

    def _refuse_second(self) -> None:
        if any(execution.over_at is None for execution in self._known.values()):
            raise BusyError("another replay is running: wait for its end, or stop it")

    def get(self, execution_id: str) -> Execution | None:
        """One of them."""
        return self._known.get(execution_id)

    def stop(self, execution: Execution) -> None:
        """Send no more of it; what has been sent goes on."""
        if execution.task is not None and not execution.task.done():
            execution.stopped = True
            execution.task.cancel()

    async def close(self) -> None:
        """Stop what is running: this process ends."""
        running = [one.task for one in self._known.values() if one.task is not None and not one.task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, execution: Execution) -> None:
        async def sent(_: ReplayItem) -> None:
            return None

        try:
            await execution.replay.send(execution.to_drain, a_second=execution.a_second, sent=sent)
            await execution.replay.wait(OUTCOME_TIMEOUT, told=lambda _: None)
        except DrainControllerError as error:
            execution.trouble = str(error)
        finally:
            execution.over_at = self._clock()
            logger.bind(by=execution.requester.by, sent=len(execution.came.sent)).info("replay over")


def story_of(execution: Execution, item: ReplayItem) -> DrainRecord | None:
    """What came of one item."""
    return execution.replay.record(item.drain_id)
