"""Toxiproxy between the product and the servers: the network as it is on a bad day, and its HTTP API.

A proxy listens on a port of its own for as long as it lives, so what is configured with that port stays valid while its
upstream changes, hangs or goes away. TLS passes through it unread.

Traps: toxics apply to connections that are open already, too, but each direction needs a toxic of its own; removing a
`timeout` toxic closes the connections that it held, as a router does that has forgotten them; a change of the upstream
closes all of the proxy's connections.
"""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from tests.stack.addresses import free_port
from tests.stack.processes import Process, accepts_connections

DIRECTIONS = ("upstream", "downstream")


class ToxiproxyError(RuntimeError):
    """The server refused."""


class Proxy:
    """One port before one server."""

    def __init__(self, server: "Toxiproxy", name: str, port: int, upstream: str) -> None:
        self.name = name
        self.port = port
        self.upstream = upstream
        self._server = server

    async def hang(self) -> None:
        """Half-open: connections stay, new ones are accepted, and every byte of either direction is swallowed."""
        await self._poison("timeout", timeout=0)

    async def reset(self) -> None:
        """Answer the next byte of either direction, on every connection, with a reset."""
        await self._poison("reset_peer", timeout=0)

    async def slow_down(self, milliseconds: int) -> None:
        """Every answer comes that much later."""
        await self._poison("latency", "downstream", latency=milliseconds)

    async def narrow(self, kilobytes: int) -> None:
        """No more than this a second, in either direction."""
        await self._poison("bandwidth", rate=kilobytes)

    async def close(self) -> None:
        """Refuse connections, and end those that are open."""
        await self._server.call("POST", f"/proxies/{self.name}", {"enabled": False})

    async def point_to(self, port: int) -> None:
        """Have another server of this machine answer in the upstream's place."""
        await self._server.call("POST", f"/proxies/{self.name}", {"upstream": f"127.0.0.1:{port}"})

    async def heal(self) -> None:
        """As on the first day."""
        for toxic in await self._server.call("GET", f"/proxies/{self.name}/toxics"):
            await self._server.call("DELETE", f"/proxies/{self.name}/toxics/{toxic['name']}")
        await self._server.call("POST", f"/proxies/{self.name}", {"enabled": True, "upstream": self.upstream})

    async def _poison(self, kind: str, *streams: str, **attributes: int) -> None:
        for stream in streams or DIRECTIONS:
            toxic = {"name": f"{kind}_{stream}", "type": kind, "stream": stream, "attributes": attributes}
            await self._server.call("POST", f"/proxies/{self.name}/toxics", toxic)


class Toxiproxy:
    """The server: a process, with a small client of its API."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._session: aiohttp.ClientSession | None = None
        self._process = Process(
            "toxiproxy",
            [str(binaries / "server"), "-host", "127.0.0.1", "-port", str(self._port)],
            log=folder / "toxiproxy.log",
            ready=lambda: accepts_connections(self._port),
            stop_budget=5,
        )

    async def start(self) -> None:
        """Without any proxy."""
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._process.start()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))

    async def close(self) -> None:
        """End for good."""
        session = self._session
        self._session = None
        await asyncio.gather(self._process.kill(), *([session.close()] if session else []))

    async def before(self, name: str, port: int, *, host: str = "127.0.0.1") -> Proxy:
        """A new proxy before the server that listens on this port."""
        proxy = Proxy(self, name, free_port(), f"{host}:{port}")
        listen = f"127.0.0.1:{proxy.port}"
        await self.call("POST", "/proxies", {"name": name, "listen": listen, "upstream": proxy.upstream})
        return proxy

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request to the API."""
        assert self._session is not None, "not started"
        async with self._session.request(method, self._url + path, json=body) as answer:
            if answer.status >= 300:
                raise ToxiproxyError(f"{method} {path} gave {answer.status}: {await answer.text()}")
            return await answer.json(content_type=None) if answer.status != 204 else None
