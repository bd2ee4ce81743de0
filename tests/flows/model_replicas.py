"""The controller's processes, each of which may die at any side effect and come back with nothing but the event log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar, assert_never

from controller.app.watch_parts import build_watch
from controller.app.worker_parts import build_worker
from controller.domain.commands import WorkItem
from controller.domain.events import LogEntry
from controller.domain.guard_policy import RecentTakeOuts
from controller.domain.instances import Readings
from controller.domain.ledger import Ledger
from controller.domain.reason import Reason
from controller.domain.routing import Routing
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.watch_position import Position
from controller.errors import BrokerError
from controller.flows.handler_result import Ack, DeadLetter, Delay, HandlerResult, Proceed, Wait
from controller.flows.priority import PriorityGate
from controller.flows.worker import Worker
from controller.flows.worker_policy import WorkerPolicy
from controller.kube.corrected_feed import ClusterClock, CorrectedFeed, ReadDate
from tests.fakes.consumer import waited
from tests.fakes.crashes import Crashed, CrashPlan
from tests.fakes.eureka_node import FakeNode
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import Delivery
from tests.fakes.registry import FakeRegistry
from tests.fakes.virtual_time import virtual_clock
from tests.flows.model_broker import Follower, ModelBroker, ModelFeed

RESTART = 5.0
BOOKMARK_INTERVAL = 10.0
"""An idle watch of the API server answers this often."""
REGION = "eu"
PREFETCH = 40
PLACES_TO_WAIT = 10
"""Few: what finds none goes through the delay queues."""
"""Messages that a worker holds at a time. Without a bound, a channel that is lost again and again while the log takes
nothing gives each message twice, as often as that happens; the broker gives no more than this."""

T = TypeVar("T")
BeforeWrite = Callable[[str, str, FakeNode], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Who is asked before anything is written to a node."""

    before_take_out: BeforeWrite
    before_delete: BeforeWrite


class Fate(CrashPlan):
    """When a process dies."""

    _point = ""

    def doom(self, within: int) -> None:
        """It dies at so many side effects from now on."""
        self._at = len(self.reached) + within

    def doom_at(self, point: str) -> None:
        """It dies where it comes to this point."""
        self._point = point

    def reach(self, point: str) -> None:
        if point == self._point:
            self._at, self._point = len(self.reached), ""
        super().reach(point)

    def spare(self) -> None:
        """It does not, after all."""
        self._at, self._point = None, ""

    def die(self) -> None:
        """It is dead."""
        self._dead = True

    @property
    def dead(self) -> bool:
        return self._dead


class Hands:
    """One process's way to the broker: the flows' ``Outbox``, and what a consumer needs beside it."""

    def __init__(self, broker: ModelBroker, fate: Fate) -> None:
        self._broker = broker
        self._fate = fate

    async def send(self, item: WorkItem) -> None:
        await self._do("send", self._broker.send(item))

    async def postpone(self, item: WorkItem, after: timedelta) -> None:
        await self._do("postpone", self._broker.postpone(item, after))

    async def proceed(self, item: WorkItem) -> None:
        await self._do("proceed", self._broker.proceed(item))

    async def dead_letter(self, item: WorkItem, reason: Reason) -> None:
        await self._do("park", self._broker.dead_letter(item, reason))

    async def record(self, entry: LogEntry) -> None:
        await self._do("record", self._broker.record(entry))

    async def publish_end(self, end: PodEnd) -> None:
        await self._do("publish end", self._broker.publish_end(end))

    async def record_position(self, position: Position) -> None:
        await self._do("note position", self._broker.record_position(position))

    async def _do(self, what: str, act: Coroutine[None, None, None]) -> None:
        try:
            self._fate.reach(f"before {what}")
        except Crashed:
            act.close()
            raise
        await act
        self._fate.reach(f"after {what}")


class SharedRegistry(FakeRegistry):
    """One process's way to the region's nodes. Somebody is asked before each write."""

    def __init__(self, nodes: list[FakeNode], fate: Fate, witness: Witness) -> None:
        super().__init__(nodes=0, clock=virtual_clock, crashes=fate)
        self.nodes = nodes
        self._by_url = {node.url: node for node in nodes}
        self._fate = fate
        self._witness = witness

    async def remove(self, app: str, instance_id: str, nodes: Sequence[str]) -> Readings:
        if not self._fate.dead:
            for url in nodes:
                self._witness.before_delete(app, instance_id, self._by_url[url])
        return await super().remove(app, instance_id, nodes)

    async def take_out(self, app: str, instance_id: str, at: Readings) -> Readings:
        if not self._fate.dead:
            for reading in at:
                self._witness.before_take_out(app, instance_id, self._by_url[reading.node])
        return await super().take_out(app, instance_id, at)


class Replica:
    """One process after the other in the same place."""

    def __init__(self, broker: ModelBroker) -> None:
        self.broker = broker
        self.fate = Fate()
        self.log: Follower | None = None
        self.deaths = 0
        self.reading = 1.0
        """Seconds that a new process takes to read the log."""
        self._life: asyncio.Task[None] | None = None
        self._lives = asyncio.create_task(self._run())

    @property
    def up(self) -> bool:
        return self._life is not None

    def kill(self) -> None:
        """It dies here and now."""
        if self._life is not None:
            self.fate.die()
            self._life.cancel()

    def check(self) -> None:
        """Raise what ended it for good: that is a mistake of this model."""
        if self._lives.done():
            self._lives.result()

    async def stop(self) -> None:
        """The run is over."""
        self._lives.cancel()
        self.kill()
        await asyncio.gather(self._lives, *([self._life] if self._life else []), return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.fate = Fate()
            self._life = asyncio.create_task(self._live())
            done, _ = await asyncio.wait([self._life])
            for life in done:
                if not life.cancelled() and (error := life.exception()) is not None and not _is_a_crash(error):
                    raise error
            self.fate.die()
            self._life = None
            self.deaths += 1
            if self.log is not None:
                self.log.end()
                self.log = None
            self._bury()
            await asyncio.sleep(RESTART)

    async def _live(self) -> None:
        raise NotImplementedError

    def _bury(self) -> None:
        """What others notice of its death."""


class WorkerReplica(Replica):
    """Consumes as controller/rabbit/consumer.py does."""

    def __init__(self, broker: ModelBroker, nodes: list[FakeNode], policy: WorkerPolicy, witness: Witness) -> None:
        self._nodes = nodes
        self._policy = policy
        self._witness = witness
        self._queue = broker.queues[REGION]
        self._held: OrderedDict[int, Delivery] = OrderedDict()
        self._waiting: set[int] = set()
        self._has_room = asyncio.Event()
        self._ended = asyncio.Event()
        """Its channel has."""
        self._number = 0
        super().__init__(broker)

    async def _wait_until_written(self, number: int, worker: Worker) -> bool:
        """Wait for the log; return whether the message is still held."""
        waiting, ended = asyncio.create_task(worker.wait_until_written()), asyncio.create_task(self._ended.wait())
        try:
            if number in self._held:
                await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
            return number in self._held
        finally:
            waiting.cancel()
            ended.cancel()

    def lose_channel(self) -> None:
        """What is not acknowledged is given to somebody, while its handling here goes on."""
        self._ended.set()
        self._ended = asyncio.Event()
        for delivery in self._held.values():
            self.broker.unacknowledged.remove(delivery)
            self._queue.put_nowait(replace(delivery, redelivered=True))
        self._held.clear()
        self._waiting.clear()
        self._has_room.set()

    def _bury(self) -> None:
        self.lose_channel()

    async def _live(self) -> None:
        fate = self.fate
        ledger, recent_take_outs = Ledger(), RecentTakeOuts()
        self.log = Follower(self.broker, ledger.apply, recent_take_outs.apply)
        self.log.begin(self.reading)
        hands = Hands(self.broker, fate)
        registry = SharedRegistry(self._nodes, fate, self._witness)
        worker = build_worker(
            registry=registry,
            outbox=hands,
            policy=self._policy,
            clock=virtual_clock,
            observer=FakeObserver(),
            priority=PriorityGate(),
            ledger=ledger,
            log=self.log,
            recent_take_outs=recent_take_outs,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker.lookout.run())
            tasks.create_task(registry.keep_fresh())
            while True:
                while len(self._held) - len(self._waiting) >= PREFETCH:
                    self._has_room.clear()
                    await self._has_room.wait()
                delivery = await self._queue.get()
                self._number += 1
                self._held[self._number] = delivery
                self.broker.unacknowledged.append(delivery)
                tasks.create_task(self._see_through(self._number, delivery, worker, hands, fate))

    async def _see_through(self, number: int, delivery: Delivery, worker: Worker, hands: Hands, fate: Fate) -> None:
        verdicts = await _until_confirmed(partial(worker.handle, delivery.item(), delivery.redelivered))
        while isinstance(wait := verdicts[0], Wait) and len(self._waiting) < PLACES_TO_WAIT:
            self._waiting.add(number)
            self._has_room.set()
            await waited(wait)
            self._waiting.discard(number)
            if number not in self._held:
                return  # the channel has ended: it is somebody else's
            verdicts = await _until_confirmed(wait.go_on)
        for verdict in verdicts:
            await _until_confirmed(partial(_perform, verdict, hands))
        if not worker.is_written and not await self._wait_until_written(number, worker):
            return  # likewise
        fate.reach("before ack")
        if self._held.pop(number, None) is not None:
            self.broker.unacknowledged.remove(delivery)
            self._has_room.set()
        fate.reach("after ack")


class WatchReplica(Replica):
    """The watch, and the feed that its present process follows."""

    def __init__(
        self,
        broker: ModelBroker,
        new_feed: Callable[[], ModelFeed],
        read_date: ReadDate,
        when_up: Callable[[], None],
        when_down: Callable[[], None],
    ) -> None:
        self.feed = new_feed()
        self._new_feed = new_feed
        self._read_date = read_date
        self._when_up = when_up
        self._when_down = when_down
        super().__init__(broker)

    def _bury(self) -> None:
        self._when_down()

    async def _live(self) -> None:
        ledger = Ledger("test")
        self.feed = self._new_feed()
        self.log = Follower(self.broker, lambda entry: parts.restore_dispatcher.apply(entry))
        parts = build_watch(
            feeds=[CorrectedFeed(self.feed, ClusterClock(self._read_date, clock=virtual_clock))],
            outbox=Hands(self.broker, self.fate),
            routing=Routing(cluster="test", known=(REGION,), default=(REGION,), namespaces={}),
            clock=virtual_clock,
            observer=FakeObserver(),
            priority=PriorityGate(),
            ledger=ledger,
            log=self.log,
            positions_log=FakeLog(),
        )
        for position in self.broker.positions:
            parts.positions.apply(position)
        self.log.when_replaced.append(parts.gone.log_replaced)
        self.log.when_caught_up.append(parts.restore_dispatcher.log_read)
        self.log.begin(self.reading)
        self._when_up()
        await parts.run()


async def _perform(verdict: HandlerResult, hands: Hands) -> None:
    match verdict:
        case Ack():
            pass
        case Delay(item=item, after=after) | Wait(alone=Delay(item=item, after=after)):
            await hands.postpone(item, after)
        case Proceed(item=item):
            await hands.proceed(item)
        case DeadLetter(item=item, reason=reason):
            await hands.dead_letter(item, reason)
        case _:
            assert_never(verdict)


async def _until_confirmed(act: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await act()
        except BrokerError:
            await asyncio.sleep(1)


def _is_a_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_a_crash(one) for one in error.exceptions)
    return isinstance(error, Crashed)
