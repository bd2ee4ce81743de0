"""A region under test: the fake one, or controller/eureka over two real servers, behind the same few words."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from controller.domain.instances import Condition, Readings
from controller.eureka.region import EurekaRegion
from controller.flows.ports import Registry
from controller.settings import RegionSettings, SecretUrl
from tests.fakes.registry import FakeRegistry
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.waiting import until

IP = "10.77.0.1"


def clock() -> datetime:
    """Real time."""
    return datetime.now(UTC)


class Client(Protocol):
    """A registry client of one node."""

    async def register(
        self,
        app: str,
        instance_id: str,
        *,
        ip: str,
        host: str | None = None,
        port: int = 8080,
        secure_port: int = 0,
        status: str = "UP",
        renewal_seconds: int = 30,
        metadata: dict[str, str] | None = None,
        alone: bool = False,
    ) -> None: ...
    async def heartbeat(self, app: str, instance_id: str) -> bool: ...
    async def put_status(self, app: str, instance_id: str, status: str) -> bool: ...
    async def delete(self, app: str, instance_id: str) -> bool: ...
    async def delete_status(self, app: str, instance_id: str, status: str | None = None) -> bool: ...


class NodeUnderTest(Protocol):
    """A node that can be broken and repaired."""

    @property
    def url(self) -> str: ...
    @property
    def registry(self) -> Client: ...
    async def start(self) -> None: ...
    async def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class RegionUnderTest:
    """``port`` is what the flows see; ``nodes`` are what clients register at."""

    def __init__(self, port: Registry, nodes: Sequence[NodeUnderTest]) -> None:
        self.port = port
        self.nodes = list(nodes)
        self.urls = [node.url for node in nodes]

    async def take_out(self, app: str, instance_id: str) -> Readings:
        """Read and take out at every node, as a worker does; return the nodes that refused."""
        return await self.port.take_out(app, instance_id, await self.port.read(app, instance_id))

    async def register_everywhere(self, app: str, instance_id: str, *, status: str = "UP") -> None:
        """Register at each node, so that no case has to wait for replication."""
        for node in self.nodes:
            await node.registry.register(app, instance_id, ip=IP, host="host-1", status=status)

    async def delete_until_gone(self, app: str, instance_id: str) -> None:
        """Delete at every node, again while a peer's copy of something older brings it back, as a worker does."""

        async def gone() -> bool:
            await self.port.remove(app, instance_id, self.urls)
            readings = await self.port.read(app, instance_id)
            return {reading.condition for reading in readings} == {Condition.absent}

        await until(gone, f"{app}/{instance_id} gone at every node", timeout=15)


def fake_region() -> RegionUnderTest:
    """Two nodes in memory."""
    registry = FakeRegistry(clock=clock)
    return RegionUnderTest(registry, registry.nodes)


def adapter(*urls: str, **settings: object) -> EurekaRegion:
    """The real adapter for these nodes; an async context manager."""
    nodes = [SecretUrl(url) for url in urls]
    return EurekaRegion("eu", RegionSettings.model_validate({"nodes": nodes, **settings}), clock=clock)


def real_region(port: EurekaRegion, pair: EurekaNodes) -> RegionUnderTest:
    """The adapter with a real pair behind it."""
    return RegionUnderTest(port, pair.nodes)


def fresh_app() -> str:
    """A name that no other test uses, in upper case."""
    return f"APP{secrets.token_hex(4).upper()}"
