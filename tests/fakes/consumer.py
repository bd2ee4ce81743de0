"""Feeds a worker from the broker in memory, and performs its results as controller/rabbit/consumer.py does.

After a crash a new worker takes over, and everything that was not acknowledged is delivered once more, marked as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar, assert_never

from controller.errors import BrokerError
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, Proceed, Wait
from controller.flows.worker import Worker
from tests.fakes.crashes import Crashed
from tests.fakes.outbox import Delivery, FakeBroker

RESTART = 5.0
"""Seconds until a new process is there: long enough for every remnant of the old one to have noticed its death."""

T = TypeVar("T")


class FakeConsumer:
    """One region's. ``start_worker`` makes the worker of a new process."""

    def __init__(
        self, broker: FakeBroker, region: str, start_worker: Callable[[], Worker], *, keeps_waiting: bool = True
    ) -> None:
        """``keeps_waiting``: else there is no room for what waits, and it goes through the delay queues."""
        self._broker = broker
        self._queue = broker.queues[region]
        self._start_worker = start_worker
        self.restarts = 0
        self._keeps_waiting = keeps_waiting

    async def run(self) -> None:
        """Consume for ever, in one process after the other."""
        while True:
            try:
                await self._live(self._start_worker())
            except* Crashed:
                self.restarts += 1
            await asyncio.sleep(RESTART)
            self._broker.crashes.revive()
            self._broker.redeliver()

    async def _live(self, worker: Worker) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.lookout.run())
            while True:
                delivery = await self._queue.get()
                self._broker.unacknowledged.append(delivery)
                tasks.create_task(self._see_through(delivery, worker))

    async def _see_through(self, delivery: Delivery, worker: Worker) -> None:
        results = await _until_confirmed(partial(worker.handle, delivery.item(), delivery.redelivered))
        while self._keeps_waiting and isinstance(wait := results[0], Wait):
            self._broker.crashes.reach("before wait")
            self._broker.waits.append(wait.after.total_seconds())
            self._broker.kept.append(wait.item)
            try:
                await waited(wait)
            finally:
                self._broker.kept.remove(wait.item)
            self._broker.crashes.reach("after wait")
            results = await _until_confirmed(wait.go_on)
        for result in results:
            await _until_confirmed(partial(self._perform, result))
        await worker.wait_until_written()
        self._broker.acknowledge(delivery)

    async def _perform(self, result: HandlerResult) -> None:
        match result:
            case Ack():
                pass
            case Delay(item=item, after=after) | Wait(alone=Delay(item=item, after=after)):
                await self._broker.postpone(item, after)
            case Proceed(item=item):
                await self._broker.proceed(item)
            case DeadLetter(item=item, reason=reason):
                await self._broker.dead_letter(item, reason)
            case _:
                assert_never(result)


async def waited(wait: Wait) -> None:
    """Wait as the waiting room does."""
    with wait.sooner() as sooner, suppress(TimeoutError):
        async with asyncio.timeout(wait.after.total_seconds()):
            await sooner.wait()


async def _until_confirmed(act: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await act()
        except BrokerError:
            await asyncio.sleep(1)
