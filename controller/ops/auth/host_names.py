"""Find out whether a request was sent to a name of ours.

A browser believes that a page and a server belong together when their names are the same. Whoever owns a name can let
it lead to our address once the page is loaded, and would read what the browser may (DNS rebinding). So a name that
anybody could own is ours only where the settings say so. Nobody owns an address, a name without a dot, or a name of
the cluster.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from controller.ops.auth.origin import first_of
from controller.ops.auth.refusals import RefusedError

ANY = "*"
"""In the settings: every name."""
CLUSTER_SUFFIXES = (".localhost", ".svc", ".svc.cluster.local", ".pod.cluster.local")
UNCHECKED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""They hold nothing for a browser, and a probe may name any host."""
MAX_SHOWN_LENGTH = 100
"""Characters of a name."""


class MisdirectedError(RefusedError):
    """The request was sent to a name that is not ours: add it to the settings, or use another one."""

    status = 421


def check_host(hosts: Collection[str], *, trust_forwarded: bool) -> Middleware:
    """Make the middleware that refuses what was sent to another name than ours."""
    ours = {name.lower().rstrip(".") for name in hosts}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in UNCHECKED_PATHS and ANY not in ours:
            sent_to = request.headers.getall(hdrs.HOST, [])
            if len(sent_to) > 1:
                raise MisdirectedError("more than one Host header")
            forwarded = first_of(request, "X-Forwarded-Host") if trust_forwarded else ""
            text = forwarded or "".join(sent_to)
            if not is_ours(text, ours):
                shown = text[:MAX_SHOWN_LENGTH]
                raise MisdirectedError(f"this server is not known as {shown!r}: add the name to ops.hosts")
        return await handler(request)

    return check


def is_ours(text: str, names: Collection[str]) -> bool:
    """Return whether a Host header names us. A request without one comes from no browser.

    >>> [is_ours(one, ["drain.example"]) for one in ("10.1.0.7:8080", "[::1]", "ops", "drain.example:443", "a.example")]
    [True, True, True, True, False]
    """
    if not text:
        return True
    try:
        parts = urlsplit(f"//{text}")
        name, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return False
    if not name or not text.isascii() or parts.netloc != text or "@" in text:
        return False
    return name in names or "." not in name or name.endswith(CLUSTER_SUFFIXES) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
