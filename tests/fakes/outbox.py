"""The broker in memory: queues of a region's commands, the delay queues, the dead letters and the event log.

Commands cross the wire format, as they do for real. A refused publish takes the broker's timeout, and may have arrived
all the same: that is how a confirm that came too late looks.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from controller.domain.commands import DrainCommand, RestoreCommand, Stage, WorkItem
from controller.domain.events import Event, LogEntry, Outcome
from controller.domain.reason import Reason
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.watch_position import Position
from controller.errors import BrokerError
from controller.messages.codec import (
    CONTENT_TYPE,
    decode_item,
    encode_end,
    encode_entry,
    encode_item,
    encode_position,
    type_of,
)
from controller.rabbit.delay import whole_seconds
from tests.fakes.crashes import CrashPlan


class Refusal(StrEnum):
    """How a publish fails."""

    lost = "lost"
    arrives_anyway = "arrives anyway"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to a worker."""

    body: bytes
    type: str
    redelivered: bool = False

    def item(self) -> WorkItem:
        """What it says."""
        return decode_item(self.body, type_=self.type, content_type=CONTENT_TYPE)


class FakeBroker:
    """The flows' ``Outbox``, and what a consumer needs beside it."""

    def __init__(self, crashes: CrashPlan | None = None) -> None:
        self.crashes = crashes or CrashPlan()
        self.refusal: Refusal | None = None
        self.log_refusal: Refusal | None = None
        """Of the event log alone."""
        self.timeout = 5.0
        self.sent: list[DrainCommand] = []
        self.restores: list[RestoreCommand] = []
        self.delays: list[int] = []
        """The seconds of each postponement."""
        self.waits: list[float] = []
        """The seconds of each wait of a message that its worker kept."""
        self.proceeded = 0
        """Work items that were written down straight to their region's queue."""
        self.entries: list[LogEntry] = []
        self.positions: list[Position] = []
        self.ends: list[PodEnd] = []
        self.end_readers: list[Callable[[PodEnd], object]] = []
        """Told every end, as a follower of their stream is."""
        self.readers: list[Callable[[LogEntry], object]] = []
        """Told every event, as a follower of the log is."""
        self.dead: list[tuple[WorkItem, Reason]] = []
        self.queues: defaultdict[str, asyncio.Queue[Delivery]] = defaultdict(asyncio.Queue)
        self.unacknowledged: list[Delivery] = []
        self.kept: list[WorkItem] = []
        """What workers keep waiting, as far as they have come."""
        self._on_the_ladder: list[WorkItem] = []
        self._recorded = asyncio.Event()

    @property
    def idle(self) -> bool:
        """True when no message is left anywhere but among the dead letters."""
        waiting = any(not queue.empty() for queue in self.queues.values())
        return not (waiting or self.unacknowledged or self._on_the_ladder)

    @property
    def holds_only(self) -> bool:
        """True when nothing is under way but looks at what is out: all of a pod's instances are found and retained."""
        waiting = any(not queue.empty() for queue in self.queues.values())
        in_hand = len(self.unacknowledged) > len(self.kept)
        return not (waiting or in_hand) and all(map(_is_held, (*self.kept, *self._on_the_ladder)))

    @property
    def events(self) -> list[Event]:
        """The event log without takeovers."""
        return [entry for entry in self.entries if isinstance(entry, Event)]

    @property
    def outcomes(self) -> list[Outcome]:
        """The event log in short."""
        return [event.outcome for event in self.events]

    async def send(self, item: WorkItem) -> None:
        """Publish a fresh order to its region's queue."""

        def publish() -> None:
            (self.sent if isinstance(item, DrainCommand) else self.restores).append(item)  # type: ignore[arg-type]
            self._put(item)

        await self._confirm("send", publish, self.refusal)

    async def postpone(self, item: WorkItem, after: timedelta) -> None:
        """Publish a work item into the delay queues."""

        def publish() -> None:
            seconds = whole_seconds(after)
            self.delays.append(seconds)
            self._on_the_ladder.append(item)
            asyncio.get_running_loop().call_later(seconds, self._come_back, item)

        await self._confirm("postpone", publish, self.refusal)

    async def proceed(self, item: WorkItem) -> None:
        """Publish a work item straight to its region's queue."""

        def publish() -> None:
            self.proceeded += 1
            self._put(item)

        await self._confirm("proceed", publish, self.refusal)

    async def dead_letter(self, item: WorkItem, reason: Reason) -> None:
        """Put an order among its region's dead letters."""
        await self._confirm("park", lambda: self.dead.append((item, reason)), self.refusal)

    async def record(self, entry: LogEntry) -> None:
        """Append to the event log."""
        encode_entry(entry)  # what cannot be written is a mistake here as it is for real

        def append() -> None:
            self.entries.append(entry)
            for read in self.readers:
                read(entry)
            self._recorded.set()
            self._recorded.clear()

        what = f"record {entry.outcome if isinstance(entry, Event) else 'takeover'}"
        await self._confirm(what, append, self.refusal or self.log_refusal)

    async def record_position(self, position: Position) -> None:
        """Keep the newest."""
        encode_position(position)
        await self._confirm("note position", lambda: self.positions.append(position), self.refusal)

    async def publish_end(self, end: PodEnd) -> None:
        """Append to the stream of pods' ends."""
        encode_end(end)

        def append() -> None:
            self.ends.append(end)
            for read in self.end_readers:
                read(end)

        await self._confirm("publish end", append, self.refusal)

    async def recorded(self, outcome: Outcome, *, count: int = 1) -> Event:
        """Wait for so many events of this outcome, and return the last one."""
        while self.outcomes.count(outcome) < count:
            await self._recorded.wait()
        return [event for event in self.events if event.outcome is outcome][-1]

    def acknowledge(self, delivery: Delivery) -> None:
        """Forget a message that was handled."""
        self.crashes.reach("before ack")
        self.unacknowledged.remove(delivery)
        self.crashes.reach("after ack")

    def redeliver(self) -> None:
        """Give what was not acknowledged to somebody else: the consumer is gone."""
        for delivery in self.unacknowledged:
            self.queues[delivery.item().region].put_nowait(replace(delivery, redelivered=True))
        self.unacknowledged.clear()

    def _come_back(self, item: WorkItem) -> None:
        self._on_the_ladder.remove(item)
        self._put(item)

    def _put(self, item: WorkItem) -> None:
        self.queues[item.region].put_nowait(Delivery(encode_item(item), type_of(item)))

    async def _confirm(self, what: str, publish: Callable[[], None], refusal: Refusal | None) -> None:
        self.crashes.reach(f"before {what}")
        await asyncio.sleep(0)
        if refusal is not Refusal.lost:
            publish()
        if refusal is not None:
            await asyncio.sleep(self.timeout)
            raise BrokerError("the broker did not confirm (TimeoutError)")
        self.crashes.reach(f"after {what}")


def _is_held(item: WorkItem) -> bool:
    progress = item.progress if isinstance(item, DrainCommand) else None
    return progress is not None and progress.found_all and {one.stage for one in progress.targets} == {Stage.retain}
