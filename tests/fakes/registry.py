"""The flows' ``Registry`` over servers in memory: every node of one region, and the shared index.

It asks its nodes as controller/eureka does: nothing is sent for what cannot be addressed, a write's
success proves nothing, and one good answer is enough for the index.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from controller.domain.addressing import unaddressable
from controller.domain.instances import (
    OUT_OF_SERVICE,
    UP,
    Condition,
    Instance,
    Reading,
    Readings,
    disagree,
    present,
    read,
    trouble_of,
)
from controller.domain.pods import Pod
from controller.domain.reason import Reason
from controller.errors import RegistryError
from controller.eureka.index import INDEX_INTERVAL
from controller.eureka.lookup import Lookup
from controller.eureka.node import no_answer
from controller.flows.ports import Clock, IndexMatch, ListReader
from tests.fakes.crashes import CrashPlan
from tests.fakes.eureka_node import FakeNode
from tests.fakes.node_trouble import UnansweredError


class FakeRegistry:
    """One region."""

    def __init__(self, *, nodes: int = 2, clock: Clock, crashes: CrashPlan | None = None) -> None:
        self.nodes = [FakeNode(f"http://eureka-{number}:8761/eureka", clock) for number in range(nodes)]
        for node in self.nodes:
            node.peers = [peer for peer in self.nodes if peer is not node]
        self._by_url = {node.url: node for node in self.nodes}
        self.cache_age: timedelta | None = None
        self._clock = clock
        self._crashes = crashes or CrashPlan()
        self.list_readers: list[ListReader] = []
        self._listed_at: datetime | None = None
        self._is_kept_fresh = False
        self._lookup = Lookup()
        self._missing: tuple[Reason, ...] = ()
        self._fetched_at: datetime | None = None

    @property
    def requests(self) -> list[str]:
        """What the controller asked of all nodes."""
        return [request for node in self.nodes for request in node.requests]

    @property
    def writes(self) -> list[str]:
        """Of these, what changes something."""
        return [request for request in self.requests if not request.startswith("GET")]

    def everywhere(self, app: str, instance_id: str) -> list[str | None]:
        """The status at each node; None where the instance is absent."""
        found = [node.held(app, instance_id) for node in self.nodes]
        return [instance.status if instance else None for instance in found]

    async def find(self, pod: Pod, *, not_before: datetime) -> IndexMatch:
        """Look a pod up in the index."""
        if self._fetched_at is None or self._fetched_at < not_before:
            await self._fetch()
        candidates = self._lookup.candidates(pod)
        return IndexMatch(candidates=candidates, holders=self._lookup.holders(candidates), missing=self._missing)

    @property
    def listed_at(self) -> datetime | None:
        """When every node last gave its list: just now, where a test does without the index that is kept fresh."""
        return self._listed_at if self._is_kept_fresh else self._clock()

    async def keep_fresh(self) -> None:
        """Make the index anew now and then, for ever."""
        self._is_kept_fresh = True
        while True:
            with suppress(RegistryError):
                await self._fetch()
            await asyncio.sleep(INDEX_INTERVAL.total_seconds())

    async def _fetch(self) -> None:
        asked_at = self._clock()
        answers = await asyncio.gather(*(self._everything(node) for node in self.nodes))
        lookup, missing = Lookup(), []
        for answer in answers:
            if isinstance(answer, Reason):
                missing.append(answer)
            else:
                for reader in self.list_readers:
                    deque(reader(answer, asked_at), maxlen=0)
                deque(lookup.add(answer), maxlen=0)
        if len(missing) == len(self.nodes):
            raise no_answer(missing)
        for _ in lookup.arrange():
            pass
        self._lookup, self._missing, self._fetched_at = lookup, tuple(missing), asked_at
        self._listed_at = self._listed_at if missing else asked_at

    @staticmethod
    async def _everything(node: FakeNode) -> tuple[Instance, ...] | Reason:
        try:
            await node.answer("GET apps")
        except UnansweredError as error:
            return _trouble(node, error)
        return node.cached()

    async def siblings(self, app: str) -> tuple[Instance, ...]:
        """All instances of an app, from the index."""
        await self._fetch()
        return tuple(one for one in self._lookup.everything() if one.app == app)

    async def everything(self) -> tuple[Instance, ...]:
        """Return all instances, as every node shows them now."""
        await self._fetch()
        if self._missing:
            raise no_answer(self._missing)
        return tuple(self._lookup.everything())

    async def look_up(self, instance_id: str) -> Instance | None:
        """Ask every node for the id; RegistryError when none knows it and some node did not answer."""
        if why := unaddressable(instance_id):
            raise RegistryError(why)

        async def ask(node: FakeNode) -> Instance | Reason | None:
            try:
                await node.answer(f"GET instances/{instance_id}")
            except UnansweredError as error:
                return _trouble(node, error)
            return node.by_id(instance_id)

        said = await asyncio.gather(*(ask(node) for node in self.nodes))
        troubles = [one for one in said if isinstance(one, Reason)]
        found = next((one for one in said if isinstance(one, Instance)), None)
        if found is None and troubles:
            raise no_answer(troubles)
        return found

    async def read(self, app: str, instance_id: str, nodes: Sequence[str] | None = None) -> Readings:
        """Read the instance at every node, or at these."""
        asked = [self._by_url[url] for url in nodes] if nodes is not None else self.nodes
        return tuple(await asyncio.gather(*(self._read(node, app, instance_id) for node in asked)))

    async def _read(self, node: FakeNode, app: str, instance_id: str) -> Reading:
        if why := unaddressable(app) or unaddressable(instance_id):
            return Reading(node=node.url, condition=Condition.failing, detail=why)
        try:
            await node.answer(f"GET apps/{app}/{instance_id}")
        except UnansweredError as error:
            return Reading(node=node.url, condition=error.condition, detail=str(error))
        return read(node.url, node.held(app, instance_id))

    async def take_out(self, app: str, instance_id: str, at: Readings) -> Readings:
        """Set OUT_OF_SERVICE at these nodes at once; return those that refused."""
        said = {one.node: one.instance for one in at}

        async def write(node: FakeNode) -> None:
            instance = said[node.url]
            stubborn = instance is not None and instance.status == OUT_OF_SERVICE and not instance.has_override
            for status in ("DOWN", OUT_OF_SERVICE) if stubborn else (OUT_OF_SERVICE,):
                request = f"PUT apps/{app}/{instance_id}/status?value={status}"
                await node.write(request, partial(node.put_status, app, instance_id, status))

        return await self._at_once("take_out", app, instance_id, list(said), write)

    async def restore(self, app: str, instance_id: str, at: Readings, *, status: str = UP) -> Readings:
        """Lift the override at these nodes at once, to this status; return those that refused."""
        instances = present(at)
        split = disagree(instances) and not any(instance.has_override for instance in instances)

        async def write(node: FakeNode) -> None:
            if split:
                request = f"PUT apps/{app}/{instance_id}/status?value=UP"
                await node.write(request, partial(node.put_status, app, instance_id, "UP"))
            request = f"DELETE apps/{app}/{instance_id}/status?value={status}"
            await node.write(request, partial(node.delete_status, app, instance_id, status))

        return await self._at_once("restore", app, instance_id, [one.node for one in at], write)

    async def remove(self, app: str, instance_id: str, nodes: Sequence[str]) -> Readings:
        """Delete at these nodes at once; return those that refused."""

        async def write(node: FakeNode) -> None:
            await node.write(f"DELETE apps/{app}/{instance_id}", partial(node.delete, app, instance_id))

        return await self._at_once("remove", app, instance_id, nodes, write)

    async def _at_once(
        self,
        what: str,
        app: str,
        instance_id: str,
        nodes: Sequence[str],
        write: Callable[[FakeNode], Awaitable[None]],
    ) -> Readings:
        if why := unaddressable(app) or unaddressable(instance_id):
            return tuple(Reading(node=url, condition=Condition.failing, detail=why) for url in nodes)

        async def attempt(node: FakeNode) -> Reading | None:
            self._crashes.reach(f"before {what} at {node.url}")
            failure = None
            try:
                await write(node)
            except UnansweredError as error:
                failure = Reading(node=node.url, condition=error.condition, detail=str(error))
            self._crashes.reach(f"after {what} at {node.url}")
            return failure

        failures = await asyncio.gather(*(attempt(self._by_url[url]) for url in nodes))
        return tuple(failure for failure in failures if failure is not None)


def _trouble(node: FakeNode, error: UnansweredError) -> Reason:
    return trouble_of((Reading(node=node.url, condition=error.condition, detail=str(error)),))
