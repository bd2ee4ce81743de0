"""All nodes of one region at once: the flows' ``Registry``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import aiohttp

from controller.domain.arrivals import Arrival
from controller.domain.instances import DOWN, OUT_OF_SERVICE, UP, Instance, Reading, Readings, disagree, present
from controller.domain.pods import Pod
from controller.domain.reason import Reason
from controller.domain.region_state import NodeState
from controller.errors import RegistryError
from controller.eureka.caches import Caches
from controller.eureka.index import Index
from controller.eureka.node import Node, no_answer, not_waited_for, refusal, too_slow, trouble
from controller.eureka.room import IndexRoom
from controller.eureka.stragglers import Stragglers
from controller.eureka.transport import NodeAccess, address_of
from controller.flows.ports import Clock, IndexMatch, ListReader
from controller.settings import RegionSettings
from controller.tls.context import for_region

MAX_LEFT_READS = 8
"""Reads of a frozen node that run to their end at a time: enough to see that it answers again."""


class EurekaRegion:
    """One region. Use as an async context manager: it owns the HTTP session."""

    def __init__(self, name: str, settings: RegionSettings, *, clock: Clock, room: IndexRoom | None = None) -> None:
        """``room``: what the process's regions may keep together."""
        self._settings = settings
        self._name = name
        self._clock = clock
        self._room = room
        self._session: aiohttp.ClientSession | None = None
        self._stragglers = Stragglers(limit=MAX_LEFT_READS)
        self.nodes: dict[str, Node] = {}

    async def __aenter__(self) -> EurekaRegion:
        """Read its CA file; SettingsError when it cannot be used."""
        tls = for_region(self._name, self._settings)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
        )
        nodes = [
            Node(
                self._session,
                access,
                clock=self._clock,
                timeout=self._settings.timeout,
                concurrency=self._settings.concurrency,
            )
            for access in _accesses(self._settings, tls)
        ]
        self.nodes = {node.url: node for node in nodes}
        self.caches = Caches(region=self._name, nodes=nodes)
        self.index = Index(
            region=self._name, nodes=nodes, clock=self._clock, timeout=self._settings.timeout, room=self._room
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self.index.close()
            await self._stragglers.close()
            await self._session.close()

    def rotate_credentials(self, settings: RegionSettings, tls: ssl.SSLContext | None) -> None:
        """Use these credentials from the next request on. The nodes are those that there were."""
        for access in _accesses(settings, tls):
            self.nodes[address_of(access.url.get_secret_value())].rotate_credentials(access)

    @property
    def list_readers(self) -> list[ListReader]:
        """Who is shown each node's list, whenever the index is made anew."""
        return self.index.list_readers

    @property
    def listed_at(self) -> datetime | None:
        """When every node was last asked for its list, and gave it; None while that has not been."""
        return self.index.listed_at

    @property
    def cache_age(self) -> timedelta | None:
        """How old what callers are given may be, as the nodes report it; None while some node does not."""
        return self.caches.age

    async def survey(self) -> tuple[NodeState, ...]:
        """Ask each node how it is."""
        return tuple(await asyncio.gather(*(node.survey() for node in self.nodes.values())))

    async def find(self, pod: Pod, *, not_before: datetime) -> IndexMatch:
        """Look a pod up in the index."""
        return await self.index.find(pod, not_before=not_before)

    async def siblings(self, app: str) -> tuple[Instance, ...]:
        """All instances of an app, from the index."""
        return await self.index.siblings(app)

    async def arrivals(self, app: str) -> tuple[Arrival, ...]:
        """Return which instances of an app say UP, and since when, by the first node that answers."""
        troubles = []
        for node in self.nodes.values():
            try:
                return await node.arrivals(app)
            except RegistryError as error:
                troubles.append(trouble(node.url, error))
        raise no_answer(troubles)

    async def everything(self) -> tuple[Instance, ...]:
        """Return all instances, as every node shows them now."""
        return await self.index.everything()

    async def look_up(self, instance_id: str) -> Instance | None:
        """Ask every node for the id; RegistryError when none knows it and some node did not answer."""

        async def ask(node: Node) -> Instance | Reason | None:
            try:
                return await node.look_up(instance_id)
            except RegistryError as error:
                return trouble(node.url, error)

        found = await self._stragglers.gather(
            list(self.nodes.values()),
            ask,
            is_answer=lambda said: not isinstance(said, Reason),
            not_waited_for=too_slow,
        )
        troubles = [one for one in found if isinstance(one, Reason)]
        instance = next((one for one in found if isinstance(one, Instance)), None)
        if instance is None and troubles:
            raise no_answer(troubles)
        return instance

    async def read(self, app: str, instance_id: str, nodes: Sequence[str] | None = None) -> Readings:
        """Read the instance at every node, or at these."""
        asked = [self.nodes[url] for url in (self.nodes if nodes is None else nodes)]
        readings = await self._stragglers.gather(
            asked,
            lambda node: node.read(app, instance_id),
            is_answer=lambda reading: reading.answered,
            not_waited_for=not_waited_for,
        )
        return tuple(readings)

    async def take_out(self, app: str, instance_id: str, at: Readings) -> Readings:
        """Set OUT_OF_SERVICE at these nodes at once; return those that refused."""
        # A server stores an override only when it changes the status: DOWN comes first where the client says
        # OUT_OF_SERVICE itself.
        stubborn = {one.node for one in at if one.instance is not None and _says_so_itself(one.instance)}

        async def write(node: Node) -> None:
            if node.url in stubborn:
                await node.put_status(app, instance_id, DOWN)
            await node.put_status(app, instance_id)

        return await self._at_once([one.node for one in at], write)

    async def restore(self, app: str, instance_id: str, at: Readings, *, status: str = UP) -> Readings:
        """Lift the override at these nodes at once, to this status; return those that refused."""
        nodes, instances = [one.node for one in at], present(at)
        if disagree(instances) and not any(instance.has_override for instance in instances):
            # Split, with no override left: a node lifts only what it holds, so UP is set first.
            refused = await self._at_once(nodes, lambda node: node.put_status(app, instance_id, UP))
            if refused:
                return refused
        return await self._at_once(nodes, lambda node: node.lift(app, instance_id, status))

    async def remove(self, app: str, instance_id: str, nodes: Sequence[str]) -> Readings:
        """Delete at these nodes at once; return those that refused."""
        return await self._at_once(nodes, lambda node: node.delete(app, instance_id))

    async def _at_once(self, nodes: Sequence[str], write: Callable[[Node], Awaitable[None]]) -> Readings:
        async def attempt(node: Node) -> Reading | None:
            try:
                await write(node)
            except RegistryError as error:
                return refusal(node.url, error)
            return None

        failures = await asyncio.gather(*(attempt(self.nodes[url]) for url in nodes))
        return tuple(failure for failure in failures if failure is not None)


def _says_so_itself(instance: Instance) -> bool:
    """Return whether the client reported OUT_OF_SERVICE: the server answers 200 to ours, and stores no override."""
    return instance.status == OUT_OF_SERVICE and not instance.has_override


def _accesses(settings: RegionSettings, tls: ssl.SSLContext | None) -> list[NodeAccess]:
    username, password = settings.username.get_secret_value(), settings.password.get_secret_value()
    return [NodeAccess(url=url, username=username, password=password, tls=tls) for url in settings.nodes]
