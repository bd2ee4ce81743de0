"""Health and metrics over HTTP: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from loguru import logger

from controller.ops.auth.headers import MAX_BODY_BYTES, SERVER_OPTIONS
from controller.ops.metrics import Metrics
from controller.settings import HttpSettings

Checks = dict[str, Callable[[], bool]]
"""The checks of readiness, by name."""


@asynccontextmanager
async def serve(
    settings: HttpSettings, metrics: Metrics, checks: Checks, application: web.Application | None = None
) -> AsyncIterator[int]:
    """Serve for as long as the context lasts; yield the port. ``application``: what else is served there."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        results = {name: check() for name, check in checks.items()}
        lines = [f"[+] {name}" if good else f"[-] {name}{_why(checks[name])}" for name, good in results.items()]
        return web.Response(text="\n".join(lines) + "\n", status=200 if all(results.values()) else 503)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    metrics.readiness(checks)
    application = application if application is not None else web.Application(client_max_size=MAX_BODY_BYTES)
    application.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)]
    )
    runner = web.AppRunner(application, handle_signals=False, **SERVER_OPTIONS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        port = int(runner.addresses[0][1])
        logger.bind(host=settings.host, port=port).info("serving health and metrics")
        yield port
    finally:
        await runner.cleanup()


def _why(check: Callable[[], bool]) -> str:
    """Return what a check that fails has to say, if it has anything."""
    trouble = getattr(check, "trouble", "")
    return f": {trouble}" if trouble else ""
