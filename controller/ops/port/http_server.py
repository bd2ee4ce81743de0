"""Health and metrics over HTTP: ``/healthz``, ``/readyz``, ``/metrics``, which may have a port of their own."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from loguru import logger

from controller.ops.auth.headers import MAX_BODY_BYTES, SERVER_OPTIONS, protect
from controller.ops.metrics import Metrics
from controller.ops.port.connections import Connections
from controller.ops.shared_answer import SharedAnswer
from controller.settings import HttpSettings

Checks = dict[str, Callable[[], bool]]
"""The checks of readiness, by name."""
EXPOSITION_LASTS = 1.0
"""Seconds for which the metrics are given again: with thousands of workloads it takes a fifth of one to render them."""
BACKLOG = 512
"""Connections that the system keeps until they are accepted."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where this process is served."""

    http: int
    metrics: int


@asynccontextmanager
async def serve(
    settings: HttpSettings, metrics: Metrics, checks: Checks, application: web.Application | None = None
) -> AsyncIterator[Ports]:
    """Serve for as long as the context lasts. ``application``: what else is served on the main port."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        results = {name: check() for name, check in checks.items()}
        lines = [f"[+] {name}" if good else f"[-] {name}{_why(checks[name])}" for name, good in results.items()]
        return web.Response(text="\n".join(lines) + "\n", status=200 if all(results.values()) else 503)

    # In a thread: the loop answers probes meanwhile.
    exposition = SharedAnswer(partial(asyncio.to_thread, metrics.exposition), lasts=EXPOSITION_LASTS)

    async def show_metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=await exposition.get(), headers=headers)

    metrics.readiness(checks)
    connections = Connections(metrics.connection_cut)
    main = application if application is not None else _plain_application()
    main.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    apart = settings.metrics_port not in (None, settings.port) or settings.metrics_port == 0
    scraped = _plain_application() if apart else main
    scraped.add_routes([web.get("/metrics", show_metrics)])
    async with AsyncExitStack() as opened:
        opened.callback(connections.close)
        port = await opened.enter_async_context(_listen(main, connections, settings.host, settings.port))
        metrics_port = port
        if apart:
            listening = _listen(scraped, connections, settings.host, settings.metrics_port or 0)
            metrics_port = await opened.enter_async_context(listening)
        logger.bind(host=settings.host, port=port, metrics_port=metrics_port).info("serving health and metrics")
        yield Ports(port, metrics_port)


def _why(check: Callable[[], bool]) -> str:
    """Return what a check that fails has to say, if it has anything."""
    trouble = getattr(check, "trouble", "")
    return f": {trouble}" if trouble else ""


def _plain_application() -> web.Application:
    made = web.Application(client_max_size=MAX_BODY_BYTES)
    protect(made)
    return made


@asynccontextmanager
async def _listen(application: web.Application, connections: Connections, host: str, port: int) -> AsyncIterator[int]:
    application.middlewares.insert(0, note_requests(connections))
    runner = web.AppRunner(application, handle_signals=False, **SERVER_OPTIONS)
    await runner.setup()
    try:
        assert runner.server is not None
        factory = connections.factory(runner.server)
        listening = await _bind(factory, host, port)
        try:
            yield int(listening.sockets[0].getsockname()[1])
        finally:
            listening.close()
    finally:
        await runner.cleanup()


async def _bind(factory: Callable[[], asyncio.Protocol], host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(factory, host, port, backlog=BACKLOG)
    except OSError as error:
        what = "the name is not known" if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise OSError(f"http.host, http.port: cannot listen at {host}, port {port}: {what}") from error


def note_requests(connections: Connections) -> Middleware:
    """Make the outermost middleware: a connection learns when a request is handled, and what its answer takes."""

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connections.of(request)
        if connection is None:  # cut before its turn came
            return web.Response()
        connection.begin()
        answer: web.StreamResponse | None = None
        try:
            answer = await handler(request)
        except web.HTTPException as mistake:
            answer = mistake
            raise
        finally:
            connection.end(_size_of(answer))
            if answer is not None and connection.is_ending:
                answer.force_close()
        # A large answer to nobody is dropped here: below, it would be held until the garbage is collected.
        return answer if connections.of(request) is connection else web.Response()

    return note


def _size_of(answer: web.StreamResponse | None) -> int:
    body = answer.body if isinstance(answer, web.Response) else None
    return len(body) if isinstance(body, bytes) else 0
