"""Watching over what is out of service, for all drains of a region together.

A drain whose instance stays out does not look at it every few seconds: it is woken when something may have become of
it. Two signs tell of that:

- one instance after the other is read at every node, past every cache: a node that has restarted has forgotten every
  override, so the first one that is read there tells of all the others, which are read at once;
- the nodes' lists, which the index fetches anyway and which callers are given, too, show what serves again, or is in
  other hands, as soon as callers may see it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.bounds import MAX_WAITING
from controller.domain.bounded_map import BoundedMap
from controller.domain.commands import DrainCommand, Target
from controller.domain.instances import Instance
from controller.domain.intervals import HEARTBEAT_CHECK_INTERVAL, REPLICATION_INTERVAL
from controller.domain.staying_out import contradicts, is_kept_out, may_be_heard_of, stays_out
from controller.flows.instance_access import InstanceAccess
from controller.flows.ports import Clock

READ_INTERVAL = 2.0
"""Seconds between two instances that are read, however many there are: after so long the restart of a node is known."""
MAX_LIST_AGE = timedelta(seconds=45)
"""Lists that are older say nothing: the index is made anew every 15 s."""
TOGETHER = 500
"""Listed instances that are compared before others have their turn."""

_Place = tuple[str, str]


@dataclass(eq=False, slots=True)
class _Kept:
    """One instance of a drain that waits."""

    command: DrainCommand
    target: Target
    sooner: asyncio.Event
    waking: asyncio.TimerHandle | None = None


class Lookout:
    """One region's."""

    def __init__(self, *, access: InstanceAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._kept: dict[_Place, list[_Kept]] = {}
        """Of one drain two messages may wait."""
        self._unproved: OrderedDict[_Place, None] = OrderedDict()
        """Those that may still be heard of, in the order in which they are read: who was read goes to the end."""
        self._looked_at: BoundedMap[_Place, float] = BoundedMap(MAX_WAITING)
        """When a drain has looked last, by the loop's time."""
        self._moved: BoundedMap[_Place, None] = BoundedMap(MAX_WAITING)
        """Where somebody is to look, and has not yet."""
        self._count = 0
        self._is_running = False
        self._hears_every_node = True
        self.unheard_at: datetime | None = None
        """When no node answered last: then none took a heartbeat."""
        access.registry.list_readers.append(self.read_list)

    @property
    def is_on(self) -> bool:
        """Whether it can be relied on: else each drain looks for itself."""
        return self._is_running and self._sees_every_node and self._count < MAX_WAITING

    @property
    def _sees_every_node(self) -> bool:
        listed_at = self._access.registry.listed_at
        has_lists = listed_at is not None and self._clock() - listed_at < MAX_LIST_AGE
        return has_lists and self._hears_every_node

    @contextmanager
    def over(self, command: DrainCommand) -> Iterator[asyncio.Event]:
        """Watch over what a drain keeps out, for as long as the context lasts; yield what is set when it is to look."""
        sooner, targets = asyncio.Event(), command.progress.targets if command.progress else ()
        kept = [_Kept(command, target, sooner) for target in targets if is_kept_out(target)]
        for one in kept:
            self._kept.setdefault(_place(one.target), []).append(one)
            if may_be_heard_of(one.target, self._clock()):
                self._unproved[_place(one.target)] = None
            if _place(one.target) in self._moved:
                self._wake(one)
        self._count += len(kept)
        try:
            yield sooner
        finally:
            self._count -= len(kept)
            for one in kept:
                self._forget(one)

    def note_look(self, target: Target) -> None:
        """Note that a drain looks at its instance now, whatever it was woken for."""
        self._looked_at[_place(target)] = asyncio.get_running_loop().time()
        self._moved.pop(_place(target), None)

    def has_moved(self, target: Target) -> bool:
        """Return whether its drain is to look at it, however long it wanted to wait."""
        return _place(target) in self._moved

    async def run(self) -> None:
        """Read one after the other, for ever."""
        self._is_running, sees = True, self._sees_every_node
        try:
            while True:
                # Each is read as often as its drain would look by itself, or as often as is worth while for all.
                alone = HEARTBEAT_CHECK_INTERVAL.total_seconds() / max(1, len(self._unproved))
                await asyncio.sleep(max(READ_INTERVAL, alone))
                await self._access.wait_until_idle()
                await self._read_until_one_stays_out()
                saw, sees = sees, self._sees_every_node
                if saw and not sees:
                    self._wake_all()
        finally:
            self._is_running = False

    def read_list(self, listed: Sequence[Instance], asked_at: datetime) -> Iterator[None]:
        """Compare a node's list; yields now and then, since it may be long."""
        if not self._kept:
            return
        for number, instance in enumerate(listed):
            if number % TOGETHER == TOGETHER - 1:
                yield
            for one in self._kept.get((instance.app, instance.id), ()):
                if contradicts(one.command, one.target, instance, asked_at):
                    self._wake(one)

    async def _read_until_one_stays_out(self) -> None:
        for _ in range(len(self._unproved)):
            place = next((one for one in self._unproved if self._is_to_be_read(one)), None)
            if place is None:
                return
            self._unproved.move_to_end(place)
            async with self._access.slot():
                readings = await self._access.registry.read(*place)
            if not any(reading.answered for reading in readings):
                self.unheard_at = self._clock()
            self._hears_every_node = all(reading.answered for reading in readings)
            if not self._hears_every_node:
                return  # what it holds is not known; when it answers again, its instances are read at once
            kept = self._kept.get(place, [])
            moved = [one for one in kept if not stays_out(one.command, one.target, readings)]
            for one in moved:
                self._wake(one)
            if kept and not moved:
                return

    def _is_to_be_read(self, place: _Place) -> bool:
        """Whether somebody waits there whom nothing wakes yet."""
        return not all(one.waking for one in self._kept[place])

    def _wake(self, one: _Kept) -> None:
        """Have the drain look, when the nodes have told each other what there is to be seen.

        No more often than it would look by itself: what it sees may stay as it is for long.
        """
        place, loop = _place(one.target), asyncio.get_running_loop()
        self._moved[place] = None
        if one.waking is None:
            settled_at = loop.time() + REPLICATION_INTERVAL.total_seconds()
            again_at = self._looked_at.get(place, 0.0) + HEARTBEAT_CHECK_INTERVAL.total_seconds()
            one.waking = loop.call_at(max(settled_at, again_at), one.sooner.set)

    def _wake_all(self) -> None:
        """Have everybody look for himself from now on."""
        for kept in self._kept.values():
            for one in kept:
                self._wake(one)

    def _forget(self, one: _Kept) -> None:
        if one.waking is not None:
            one.waking.cancel()
        self._kept[_place(one.target)].remove(one)
        if not self._kept[_place(one.target)]:
            del self._kept[_place(one.target)]
            self._unproved.pop(_place(one.target), None)


def _place(target: Target) -> _Place:
    return target.app, target.id
