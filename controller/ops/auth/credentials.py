"""The token that a request brings: in its Authorization header, else that of the session which its cookie names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from controller.ops.auth.origin import is_https
from controller.ops.auth.refusals import UnauthorizedError
from controller.ops.auth.session_store import SESSION_LIFE, SessionStore

COOKIE = "eureka-drain-session"
"""Where the browser came by plain http, as through a port-forward: it would keep no cookie of the other name."""
HOST_COOKIE = f"__Host-{COOKIE}"
"""Where it came by https: no other host of the domain, and nobody on an http connection, can set one of this name."""
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


def credentials_of(request: web.Request, sessions: SessionStore) -> Credentials | None:
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
    token = sessions.token(request.cookies.get(_cookie_of(request), ""))
    return None if token is None else Credentials(token, from_cookie=True)


def keep_signed_in(request: web.Request, response: web.StreamResponse, session: str) -> None:
    """Set the cookie. No script can read it, and no other site's page can make the browser send it."""
    response.set_cookie(
        _cookie_of(request),
        session,
        max_age=int(SESSION_LIFE.total_seconds()),
        path="/",
        secure=is_https(request),
        httponly=True,
        samesite="Strict",
    )


def forget(request: web.Request, response: web.StreamResponse, sessions: SessionStore) -> None:
    """End the session, and delete the cookie."""
    name = _cookie_of(request)
    sessions.close(request.cookies.get(name, ""))
    response.del_cookie(name, path="/", secure=is_https(request), httponly=True, samesite="Strict")


def _cookie_of(request: web.Request) -> str:
    return HOST_COOKIE if is_https(request) else COOKIE
