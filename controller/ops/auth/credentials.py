"""The token that a request brings: in its Authorization header, else in the cookie of the sign-in page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import hdrs, web

from controller.ops.auth.origin import is_https
from controller.ops.auth.refusals import UnauthorizedError

COOKIE = "eureka-drain-token"
COOKIE_LIFE = timedelta(hours=8)
"""A working day. The token may end sooner."""
MAX_TOKEN_LENGTH = 16 * 1024
"""Characters."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
_AUTHORIZATION = re.compile(r"bearer +([\x21-\x7e]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Credentials:
    """A token that is not checked yet."""

    token: str = field(repr=False)
    from_cookie: bool
    """A browser sends a cookie with whatever another page makes it send."""


def is_token(text: str) -> bool:
    """Return whether this can be a token at all: visible ASCII, not too long."""
    return len(text) <= MAX_TOKEN_LENGTH and _TOKEN.fullmatch(text) is not None


def credentials_of(request: web.Request) -> Credentials | None:
    """Return the request's token, or None. UnauthorizedError when there is a header that holds none.

    A header that cannot be used is refused even beside a usable cookie, since its sender chose it.
    """
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(headers) > 1:
        raise UnauthorizedError("more than one Authorization header")
    if headers:
        found = _AUTHORIZATION.fullmatch(headers[0].strip(" \t"))
        if found is None or not is_token(found[1]):
            raise UnauthorizedError("the Authorization header must be: Bearer, a space, and the token")
        return Credentials(found[1], from_cookie=False)
    cookie = request.cookies.get(COOKIE)
    return Credentials(cookie, from_cookie=True) if cookie and is_token(cookie) else None


def keep_signed_in(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Set the cookie. No script can read it, and no other site's page can make the browser send it."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(COOKIE_LIFE.total_seconds()),
        path="/",
        secure=is_https(request),
        httponly=True,
        samesite="Strict",
    )


def forget(request: web.Request, response: web.StreamResponse) -> None:
    """Delete the cookie."""
    response.del_cookie(COOKIE, path="/", secure=is_https(request), httponly=True, samesite="Strict")
