"""A small HTTP server in a node's place that answers whatever a test wants, and records every request as it came."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

from aiohttp import web

from controller.eureka.node import NOBODY

LISTS = [["apps"], ["apps", "delta"], ["vips", NOBODY]]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


EMPTY_LIST = '{"applications": {"versions__delta": "-1", "apps__hashcode": "", "application": []}}'


async def empty_registry(request: web.Request) -> web.StreamResponse:
    """A registry that holds nothing: it shows its empty lists, and answers 404 to the rest."""
    if request.method == "GET" and request.path.rpartition("/eureka")[2].split("/")[1:] in LISTS:
        return web.Response(text=EMPTY_LIST, content_type="application/json")
    return web.Response(status=404)


class SillyServer:
    """An async context manager. ``requests`` holds method and raw path."""

    def __init__(self, answer: Answer = empty_registry, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self._answer = answer
        self._tls = tls
        self._runner = web.ServerRunner(web.Server(self._note), shutdown_timeout=0.1)
        self._port = 0

    @property
    def url(self) -> str:
        """As a node's is configured."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/eureka"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _note(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        self.authorizations.append(request.headers.get("Authorization", ""))
        return await self._answer(request)  # type: ignore[arg-type]


def saying(text: str | bytes, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Answer:
    """Always the same."""
    body = text.encode() if isinstance(text, str) else text

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type, headers=headers)

    return answer


async def other_application(request: web.Request) -> web.StreamResponse:
    """What any Spring Boot application says of a path that it does not know: measured, a Eureka server's words."""
    document = {"timestamp": "2026-11-28T05:00:03.307+00:00", "status": 404, "error": "Not Found", "path": request.path}
    return web.json_response(document, status=404)


async def endless(request: web.Request) -> web.StreamResponse:
    """A body that never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):  # the client has had enough
        while True:
            await response.write(b"[" * 65_536)
    return response


async def slow(_: web.Request) -> web.StreamResponse:
    """An answer that takes a minute."""
    await asyncio.sleep(60)
    return web.Response(text="{}")


async def broken_off(request: web.Request) -> web.StreamResponse:
    """A body that ends before its announced length."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"instance":')
    assert request.transport is not None
    request.transport.close()
    return response
