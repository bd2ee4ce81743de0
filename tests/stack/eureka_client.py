"""A process's client library, played by a test: it registers, renews, and registers again when a node forgot it.

As Netflix's it keeps to one node, and goes on to the next one only when that does not answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.stack.registry_client import UNREACHABLE, RegistryClient


@dataclass(frozen=True)
class Registration:
    """What a process says of itself."""

    app: str
    instance_id: str
    ip: str
    host: str
    port: int
    """0: disabled."""
    renewal_seconds: int
    secure_port: int = 0
    metadata: dict[str, str] = field(default_factory=dict)


class Client:
    """One process's, with the nodes in the order in which it tries them."""

    def __init__(self, nodes: Sequence[RegistryClient], registration: Registration) -> None:
        self.registration = registration
        self._nodes = list(nodes)
        self._status = ""
        self._renewing: asyncio.Task[None] | None = None

    async def say(self, status: str) -> None:
        """Register, or register again, with this status; renew from the first time on."""
        self._status = status
        await self._register()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def end(self) -> None:
        """No more heartbeats, as after SIGKILL."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def deregister(self) -> None:
        """Take leave, as at SIGTERM: no more heartbeats, and no registration."""
        await self.end()
        await self._call(lambda node: node.delete(self.registration.app, self.registration.instance_id))

    async def _register(self) -> None:
        one = self.registration

        async def register(node: RegistryClient) -> bool:
            await node.register(
                one.app,
                one.instance_id,
                ip=one.ip,
                host=one.host,
                port=one.port,
                secure_port=one.secure_port,
                status=self._status,
                renewal_seconds=one.renewal_seconds,
                metadata=one.metadata,
            )
            return True

        await self._call(register)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.registration.renewal_seconds)
            with suppress(*UNREACHABLE):
                one = self.registration
                if not await self._call(lambda node, one=one: node.heartbeat(one.app, one.instance_id)):  # type: ignore[misc]
                    await self._register()

    async def _call(self, call: Callable[[RegistryClient], Awaitable[bool]]) -> bool:
        for _ in self._nodes[1:]:
            with suppress(*UNREACHABLE):
                return await call(self._nodes[0])
            self._nodes.append(self._nodes.pop(0))
        return await call(self._nodes[0])
