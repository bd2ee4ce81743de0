"""The Eureka side of a test: a registry, a broker, a worker that consumes, and the processes that register.

Everything starts at noon, when the pod of tests.unit.building is asked to go; its grace ends half a minute later.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Self

from controller.app.worker_parts import build_worker
from controller.domain.commands import DrainCommand, WorkItem
from controller.domain.events import Event, Outcome, make_event, make_gone_event
from controller.domain.guard_policy import RecentTakeOuts
from controller.domain.ledger import Ledger
from controller.flows.priority import PriorityGate
from controller.flows.worker import Worker
from controller.flows.worker_policy import WorkerPolicy
from tests.fakes.client import FakeClient
from tests.fakes.consumer import FakeConsumer
from tests.fakes.crashes import CrashPlan
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker
from tests.fakes.registry import FakeRegistry
from tests.fakes.virtual_time import elapsed, virtual_clock
from tests.stack.waiting import until
from tests.unit.building import POD_IP, a_command

OUT_EVERYWHERE: list[str | None] = ["OUT_OF_SERVICE", "OUT_OF_SERVICE"]
APP, ID = "ORDERS", "orders-0:orders:8080"
RETENTION = timedelta(minutes=5)
REPLICATED = 1.0
"""Seconds after which every node knows what one has received."""


class World:
    """An async context manager: the consumer runs inside of it."""

    def __init__(
        self,
        *,
        nodes: int = 2,
        crash_at: int | None = None,
        priority: PriorityGate | None = None,
        reads_log: bool = True,
        keeps_waiting: bool = True,
        keeps_index: bool = False,
        **policy: Any,
    ) -> None:
        """``policy`` are fields of the worker's. ``priority`` is what this region shares with others.

        ``keeps_index``: the index is made anew all the time; else only when somebody looks into it.
        """
        self._keeps_index = keeps_index
        self._priority = priority
        self._log = FakeLog(caught_up=reads_log)
        self.crashes = CrashPlan(crash_at)
        self.registry = FakeRegistry(nodes=nodes, clock=virtual_clock, crashes=self.crashes)
        self.nodes = self.registry.nodes
        self.broker = FakeBroker(self.crashes)
        self.observer = FakeObserver()
        self.policy = WorkerPolicy(**{"retention": RETENTION, **policy})
        self.consumer = FakeConsumer(self.broker, "eu", self.start_worker, keeps_waiting=keeps_waiting)
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: list[FakeClient] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self.consumer.run(), name="consumer")]
        if self._keeps_index:
            self._tasks.append(asyncio.create_task(self.registry.keep_fresh(), name="index"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start_worker(self) -> Worker:
        """A new process's worker."""
        return build_worker(
            registry=self.registry,
            outbox=self.broker,
            policy=self.policy,
            clock=virtual_clock,
            observer=self.observer,
            priority=self._priority or PriorityGate(),
            ledger=self._ledger(),
            log=self._log,
            recent_take_outs=RecentTakeOuts(),
        )

    def _ledger(self) -> Ledger:
        """A new process reads the log anew."""
        ledger = Ledger()
        for entry in self.broker.entries:
            ledger.apply(entry)
        self.broker.readers = [ledger.apply]
        return ledger

    async def process(
        self, app: str = APP, instance_id: str = ID, /, *, status: str = "UP", **facts: Any
    ) -> FakeClient:
        """A living process, registered at every node."""
        usual = {"ip": POD_IP, "host": "orders-0"}
        client = FakeClient(self.nodes[0], app, instance_id, **{**usual, **facts})
        await client.start(status=status)
        await asyncio.sleep(REPLICATED)
        return client

    async def send(self, item: WorkItem | None = None) -> None:
        """Send a command as the watch does."""
        await self.broker.send(item or a_command())

    async def end(self, *, proved: bool = True) -> None:
        """Record that the pod does not run any more, as the watch does."""
        now = virtual_clock()
        await self.broker.record(make_gone_event(a_command(), now, now, proved=proved))

    def an_event(self, command: DrainCommand, outcome: Outcome) -> Event:
        """An event about a command, at this moment."""
        return make_event(command, outcome, virtual_clock())

    async def until_idle(self, *, hours: float = 3) -> None:
        """Wait until every command has come to its end; without removal, until all that is left is to be looked at."""

        def is_idle() -> bool:
            return self.broker.idle or (not self.policy.remove and self.broker.holds_only)

        await until(is_idle, "an idle broker", timeout=hours * 3600, interval=1)

    async def until(self, outcome: Outcome, *, count: int = 1) -> Event:
        """Wait for the event of this outcome, and return the last one."""
        return await asyncio.wait_for(self.broker.recorded(outcome, count=count), 3 * 3600)

    async def put_back(self) -> None:
        """Lift the override at every node, as a person does by hand."""
        for node in self.nodes:
            await node.delete_status(APP, ID, "UP")

    def everywhere(self, app: str = APP, instance_id: str = ID) -> list[str | None]:
        """The status at each node."""
        return self.registry.everywhere(app, instance_id)


async def sleep_until(seconds: float) -> None:
    """Sleep until so many seconds after noon."""
    await asyncio.sleep(max(0.0, seconds - elapsed()))
