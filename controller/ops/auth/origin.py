"""Find out whether a browser sent the request from one of our own pages.

A browser adds a cookie to every request that any page causes, and names that page in ``Origin`` and ``Sec-Fetch-Site``;
no script can change these two headers. Programs send neither.
"""

from __future__ import annotations

from enum import Enum, auto
from urllib.parse import urlsplit

from aiohttp import hdrs, web

Place = tuple[str, str, int]
"""Scheme, host, port."""
_PORTS = {"http": 80, "https": 443}


class Sender(Enum):
    """Which page made the browser send it."""

    OURS = auto()
    FOREIGN = auto()
    UNKNOWN = auto()
    """Not a browser, or one that is too old to name the page."""


def sender_of(request: web.Request, *, trust_forwarded: bool) -> Sender:
    """Compare the page that the browser names with the request's own address. Every header that is there must agree."""
    sites = request.headers.getall("Sec-Fetch-Site", [])
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if not sites and not origins:
        return Sender.UNKNOWN
    if sites and [site.strip().lower() for site in sites] != ["same-origin"]:
        return Sender.FOREIGN
    if origins:
        ours = _own_place(request, trust_forwarded=trust_forwarded)
        if ours is None or len(origins) > 1 or _place(origins[0].strip()) != ours:
            return Sender.FOREIGN
    return Sender.OURS


def is_https(request: web.Request) -> bool:
    """Return whether the browser came by https, directly or by a proxy's word.

    Any proxy is believed here: a false word only makes the cookie stricter.
    """
    return request.secure or first_of(request, "X-Forwarded-Proto").lower() == "https"


def _own_place(request: web.Request, *, trust_forwarded: bool) -> Place | None:
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1:
        return None
    scheme, host = request.scheme, hosts[0]
    if trust_forwarded:
        scheme = first_of(request, "X-Forwarded-Proto") or scheme
        host = first_of(request, "X-Forwarded-Host") or host
    return _place(f"{scheme}://{host}")


def first_of(request: web.Request, name: str) -> str:
    """Return the word of the outermost of several proxies, which the browser spoke to; empty without one."""
    return request.headers.get(name, "").split(",")[0].strip()


def _place(text: str) -> Place | None:
    """Read an origin. None for ``null``, and for whatever is more or less than scheme, host and port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname or text.lower() != f"{scheme}://{parts.netloc}".lower():
        return None
    if "@" in parts.netloc:
        return None
    return scheme, parts.hostname.lower(), _PORTS[scheme] if port is None else port
