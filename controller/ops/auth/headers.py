"""What every answer carries, and how long it may take.

The headers are set when an answer is prepared, not by a middleware: an answer that is streamed has sent its headers
before a middleware sees it, and an error that aiohttp answers by itself passes none.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No inline script and no inline style: a pod's name that gets past the escaping is still only text."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: then a browser would send our own forms with the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _WithoutRequests(logging.Filter):
    """Drops what the library logs of a request that it cannot read: it quotes the header, which may be a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log = logging.getLogger("aiohttp.server.ops")
_log.addFilter(_WithoutRequests())

MAX_BODY_BYTES = 64 * 1024
"""Bytes of a request's body: for the application's client_max_size."""
SERVER_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "logger": _log,
    "max_line_size": 8 * 1024,
    # A token of 16 KiB, and its scheme.
    "max_field_size": 17 * 1024,
    # Of a body that nobody reads yet, twice as much is kept.
    "read_bufsize": 16 * 1024,
    # A body that unpacks to more than it says is not taken.
    "auto_decompress": False,
    # The library's own would keep a silent connection for an hour.
    "keepalive_timeout": 75.0,
    "lingering_time": 5.0,
}
"""For ``web.AppRunner``: what is logged; bytes of the request line, of one header, of a body; seconds."""
REQUEST_TIMEOUT = 30.0
"""Seconds from the request's headers to its answer."""
ENDLESS = web.RequestKey("endless", bool)
"""``request[ENDLESS] = True``: server-sent events, which have no end."""


def protect(application: web.Application) -> None:
    """Set the headers on every answer of the application."""
    application.on_response_prepare.append(_set_headers)


async def _set_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    # The name and versions of the libraries would only help an attacker.
    response.headers.popall(hdrs.SERVER, None)


@web.middleware
async def time_limit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Cancel what takes too long; aiohttp answers 504, or cuts an answer that has begun."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:

        def expire() -> None:
            # Checked only now, because the handler marks its own request as endless.
            if not request.get(ENDLESS):
                limit.reschedule(loop.time())

        timer = loop.call_later(REQUEST_TIMEOUT, expire)
        try:
            return await handler(request)
        finally:
            timer.cancel()
