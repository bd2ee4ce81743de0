"""A service in a pod, in pure Python: cheap enough to start fifty of them, and it registers itself in Eureka.

Run as `python -m tests.stack.service` with these variables:

    EUREKA_NODES     comma-separated URLs; the first that answers is used, as Netflix's client does
    APP              the application's name
    POD_IP, PORT     where to listen (default 127.0.0.1 and 8080)
    INSTANCE_ID      default {ip}:{app}:{port}, much as Spring Cloud's
    HOST_NAME        default the address
    RENEWAL_SECONDS  between heartbeats, default 30, as stock; LEASE_SECONDS default 90
    DEREGISTER       `true`: deregister at SIGTERM, as a well-behaved client does; default false: just end
    REFUSE_SIGTERM   `true`: ignore it, to be killed at the deadline

Order of events: listen, register as STARTING, register as UP, heartbeats; a heartbeat that is answered with 404
registers again. It serves 200 on every path, and counts what it served at /served.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.stack.registry_client import UNREACHABLE, RegistryClient


class Service:
    """What is registered, and where."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.app = environ["APP"]
        self.ip = environ.get("POD_IP", "127.0.0.1")
        self.port = int(environ.get("PORT", "8080"))
        self.instance_id = environ.get("INSTANCE_ID") or f"{self.ip}:{self.app.lower()}:{self.port}"
        self.host_name = environ.get("HOST_NAME")
        self.renewal_seconds = int(environ.get("RENEWAL_SECONDS", "30"))
        self.lease_seconds = int(environ.get("LEASE_SECONDS", "90"))
        self.deregisters = environ.get("DEREGISTER", "false") == "true"
        self.refuses_sigterm = environ.get("REFUSE_SIGTERM", "false") == "true"
        self.nodes = [RegistryClient(url) for url in environ["EUREKA_NODES"].split(",") if url]
        self.served = 0

    async def run(self) -> None:
        """Until SIGTERM."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, (lambda: None) if self.refuses_sigterm else stop.set)
        site = await self._listen()
        renewing = asyncio.create_task(self._stay_registered())
        await stop.wait()
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        if self.deregisters:
            await self._at_first_node(lambda node: node.delete(self.app, self.instance_id))
        for node in self.nodes:
            await node.close()
        await site.cleanup()

    async def _listen(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_get("/served", self._served)
        application.router.add_get("/{path:.*}", self._serve)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, self.ip, self.port).start()
        return runner

    async def _serve(self, _: web.Request) -> web.Response:
        self.served += 1
        return web.Response(text=f"{self.instance_id}\n")

    async def _served(self, _: web.Request) -> web.Response:
        return web.Response(text=f"{self.served}\n")

    async def _stay_registered(self) -> None:
        await self._register("STARTING")
        await self._register("UP")
        while True:
            await asyncio.sleep(self.renewal_seconds)
            known = await self._at_first_node(lambda node: node.heartbeat(self.app, self.instance_id))
            if known is False:
                await self._register("UP")

    async def _register(self, status: str) -> None:
        async def register(node: RegistryClient) -> bool:
            await node.register(
                self.app,
                self.instance_id,
                ip=self.ip,
                host=self.host_name,
                port=self.port,
                status=status,
                lease_seconds=self.lease_seconds,
                renewal_seconds=self.renewal_seconds,
            )
            return True

        while await self._at_first_node(register) is None:  # noqa: ASYNC110
            # No node is up: nothing to wait for but time.
            await asyncio.sleep(1)

    async def _at_first_node(self, call: Callable[[RegistryClient], Awaitable[bool]]) -> bool | None:
        """As Netflix's client: one node is asked, the next one only when that fails. None: no node answered."""
        for node in self.nodes:
            with contextlib.suppress(*UNREACHABLE):
                return await call(node)
        return None


if __name__ == "__main__":
    asyncio.run(Service(dict(os.environ)).run())
