"""A pod's process, as far as the registry knows it: played here, so that sixty plans need no hundreds of processes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp

from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.registry_client import RegistryError

Object = dict[str, Any]
RENEWAL_SECONDS = 1


class App:
    """Registers, heartbeats, falls silent; always at the first node, as a client does while that one answers."""

    def __init__(self, label: str, pod: Object, *, app: str, instance_id: str, eureka: EurekaNodes) -> None:
        self.label, self.app, self.instance_id = label, app, instance_id
        self.uid, self.name, self.ip = pod["metadata"]["uid"], pod["metadata"]["name"], pod["status"]["podIP"]
        self._eureka = eureka
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register as a client does, and go on renewing the lease."""
        await self._register("STARTING")
        await self._register("UP")
        self._renewing = asyncio.create_task(self._renew())

    async def stop(self) -> None:
        """Fall silent, without a word to the registry."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def _register(self, status: str) -> None:
        node = self._eureka.nodes[0].registry
        await node.register(
            self.app, self.instance_id, ip=self.ip, status=status, renewal_seconds=RENEWAL_SECONDS, lease_seconds=90
        )

    async def _renew(self) -> None:
        node = self._eureka.nodes[0].registry
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            # A busy server may be late; the next heartbeat comes soon.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, RegistryError):
                if not await node.heartbeat(self.app, self.instance_id):
                    await self._register("UP")
