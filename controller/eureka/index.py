"""A region's registry as it is searched for pods: one fetch for many drains, refreshed in the background.

It is read through the servers' response caches and may be 30 s old: good for finding, never for proof. Every node is
asked and the answers are joined, so that what only one node knows is found too; what an index lacks is reported with
each match, since nothing is proved absent by a node that did not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from loguru import logger

from controller.domain.instances import Instance
from controller.domain.pods import Pod
from controller.domain.reason import Reason
from controller.errors import RegistryError
from controller.eureka.lookup import Lookup
from controller.eureka.node import Node, no_answer, too_slow, trouble
from controller.eureka.registry_reader import RegistryList
from controller.eureka.room import IndexRoom
from controller.eureka.stragglers import Stragglers
from controller.flows.ports import Clock, IndexMatch, ListReader
from controller.signals import take_error

INDEX_INTERVAL = timedelta(seconds=15)


class Index:
    """The shared index of one region."""

    def __init__(
        self, *, region: str, nodes: Sequence[Node], clock: Clock, timeout: timedelta, room: IndexRoom | None = None
    ) -> None:
        """``timeout``: how long a node that is slower than the others is waited for, at least.

        ``room``: what the process's regions share.
        """
        self._region = region
        self._nodes = nodes
        self._clock = clock
        self._timeout = timeout
        self._room = room or IndexRoom()
        self._room.open(region)
        # A registry may be large: of a frozen node one list at a time.
        self._stragglers = Stragglers(limit=1)
        self._fetched_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._lookup = Lookup()
        self.list_readers: list[ListReader] = []
        self.listed_at: datetime | None = None
        """When the last fetch was begun that every node has answered."""
        self._missing: tuple[Reason, ...] = ()
        """The nodes that the last fetch went without, and why."""

    async def keep_fresh(self) -> None:
        """Refresh for ever."""
        while True:
            try:
                await self._refresh()
            except RegistryError as error:
                logger.bind(region=self._region, error=str(error)).warning("registry not fetched")
            else:
                if self._missing:
                    reasons = "; ".join(map(str, self._missing))
                    logger.bind(region=self._region, reason=reasons).warning("registry fetched without every node")
            await asyncio.sleep(INDEX_INTERVAL.total_seconds())

    async def close(self) -> None:
        """End what is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._stragglers.close()

    async def find(self, pod: Pod, *, not_before: datetime) -> IndexMatch:
        """Look up what bears signs of the pod, in an index at least this new."""
        if self._fetched_at is None or self._fetched_at < not_before:
            await self._refresh()
        candidates = self._lookup.candidates(pod)
        return IndexMatch(candidates=candidates, holders=self._lookup.holders(candidates), missing=self._missing)

    async def siblings(self, app: str) -> tuple[Instance, ...]:
        """All instances of an app, in an index that is not older than its refreshing allows."""
        if self._fetched_at is None or self._clock() - self._fetched_at > 2 * INDEX_INTERVAL:
            await self._refresh()
        return tuple(one for one in self._lookup.everything() if one.app == app)

    async def everything(self) -> tuple[Instance, ...]:
        """All instances, fetched now. RegistryError unless every node has answered."""
        await self._refresh()
        if self._missing:
            raise no_answer(self._missing)
        return tuple(self._lookup.everything())

    async def _refresh(self) -> None:
        """Fetch, or join the fetch that is under way."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(), name=f"fetch {self._region}")
            self._fetching.add_done_callback(take_error)
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        asked_at = self._clock()
        room = self._room.left_for(self._region)
        answers = await self._stragglers.gather(
            self._nodes,
            partial(_list_of, room=room),
            is_answer=lambda said: not isinstance(said, Reason),
            not_waited_for=too_slow,
            timeout=self._timeout,
        )
        missing = [said for said in answers if isinstance(said, Reason)]
        shown = [(node, said) for node, said in zip(self._nodes, answers, strict=True) if not isinstance(said, Reason)]
        lookup = Lookup(room=room)
        # The smallest first: a node that shows far more than the others is the one that is gone without.
        for node, said in sorted(shown, key=lambda one: one[1].cost):
            for reader in self.list_readers:
                await _in_turns(reader(said.instances, asked_at))
            try:
                await _in_turns(lookup.add(said.instances))
            except RegistryError as error:
                missing.append(trouble(node.url, error))
        if len(missing) == len(answers):
            raise no_answer(missing)
        await _in_turns(lookup.arrange())
        self._lookup, self._missing, self._fetched_at = lookup, tuple(missing), asked_at
        self.listed_at = self.listed_at if missing else asked_at
        self._room.take(self._region, lookup.cost)


async def _list_of(node: Node, *, room: int) -> RegistryList | Reason:
    try:
        return await node.everything(room)
    except RegistryError as error:
        return trouble(node.url, error)


async def _in_turns(work: Iterator[None]) -> None:
    """Do some work, and let others have their turn now and then."""
    for _ in work:
        await asyncio.sleep(0)
