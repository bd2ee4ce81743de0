"""A stock registry client in a living process: registers, heartbeats at one node, registers again when it is forgotten.

What it says of itself never changes by an override; that is the server's business.
"""

from __future__ import annotations

import asyncio

from tests.fakes.eureka_node import FakeNode


class FakeClient:
    """One process with one registration."""

    def __init__(self, node: FakeNode, app: str, instance_id: str, *, ip: str, host: str, port: int = 8080) -> None:
        self.app = app
        self.id = instance_id
        self._node = node
        self._ip = ip
        self._host = host
        self._port = port
        self._beating: asyncio.Task[None] | None = None

    async def start(self, *, status: str = "UP") -> None:
        """Register, and heartbeat from now on."""
        await self._register(status)
        self._beating = asyncio.create_task(self._beat(status), name=f"heartbeats of {self.id}")

    def die(self) -> None:
        """End without a word."""
        assert self._beating is not None
        self._beating.cancel()

    async def shutdown(self) -> None:
        """End in order: deregister."""
        self.die()
        await self._node.delete(self.app, self.id)

    async def _register(self, status: str) -> None:
        await self._node.register(
            self.app, self.id, ip=self._ip, host=self._host, port=self._port, status=status, renewal_seconds=30
        )

    async def _beat(self, status: str) -> None:
        while True:
            await asyncio.sleep(30)
            if self._node.trouble is None and not await self._node.heartbeat(self.app, self.id):
                await self._register(status)
