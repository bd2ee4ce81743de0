"""What stands before a Eureka node in many places: a proxy that ends TLS and asks for user and password."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from tests.stack.addresses import free_port
from tests.stack.authority import Authority

USER = "drain"


class Front:
    """One node's. An async context manager; `certify` and `password` may change while it runs."""

    def __init__(self, folder: Path, node_url: str, authority: Authority, *, password: str = "") -> None:
        self.password = password
        """Empty: nobody is asked for one."""
        self.port = free_port()
        self.passed: list[str] = []
        """Methods and paths that went through to the node."""
        self.denied = 0
        self._folder = folder
        self._node = node_url.removesuffix("/eureka")
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None
        self.certify(authority)

    @property
    def url(self) -> str:
        """As the node's is configured."""
        return f"https://localhost:{self.port}/eureka"

    def certify(self, authority: Authority, host: str = "localhost", *, expired: bool = False) -> None:
        """Show this certificate at every new connection."""
        self._context.load_cert_chain(*authority.write(self._folder, host, expired=expired))

    async def drop_connections(self) -> None:
        """End every connection, as a restart does."""
        await self._stop()
        await self._start()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()
        if self._session is not None:
            await self._session.close()

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._context).start()

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        expected = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if self.password and request.headers.get("Authorization") != f"Basic {expected}":
            self.denied += 1
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        self.passed.append(f"{request.method} {request.raw_path}")
        assert self._session is not None
        async with self._session.request(
            request.method,
            URL(self._node + request.raw_path, encoded=True),
            headers={"Accept": request.headers.get("Accept", "*/*")},
            allow_redirects=False,
        ) as answer:
            kept = {
                name: answer.headers[name] for name in ("Content-Type", "Content-Encoding") if name in answer.headers
            }
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)
