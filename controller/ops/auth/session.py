"""Sign in and out with a browser: the token is kept here, and the browser gets the name of a session.

Order of a sign-in: not from another site's page; the form; the token may read; the cookie, and on to where the person
wanted to go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

from aiohttp import web

from controller.ops.auth.authorizer import Authorizer, Permission, peer_of
from controller.ops.auth.credentials import forget, is_token, keep_signed_in
from controller.ops.auth.decision_cache import User
from controller.ops.auth.refusals import RefusedError, UnauthorizedError, refused

MAX_FORM_BYTES = 32 * 1024
"""Bytes."""
MAX_PATH_LENGTH = 2_048
"""Characters."""
_LOCAL_PATH = re.compile(r"/[\x21-\x7e]*")

SignInPage = Callable[[str, str], web.Response]
"""Renders the sign-in page again: where to go afterwards (a safe path), and what was wrong."""


class SessionPages:
    """The handlers of ``POST /sign-in`` and ``POST /sign-out``."""

    def __init__(self, authorizer: Authorizer, page: SignInPage) -> None:
        self._authorizer = authorizer
        self._page = page

    async def sign_in(self, request: web.Request) -> web.Response:
        """Check the form's ``token``, set the cookie, and go to ``next``; or show the page again with what is wrong."""
        self._authorizer.refuse_foreign(request)
        token, after = await _read_form(request)
        try:
            user = await self._check(token, peer_of(request))
        except RefusedError as refusal:
            return refused(self._page(after, str(refusal)), refusal)
        response = _go_to(after)
        keep_signed_in(request, response, self._authorizer.sessions.open(token, user.name))
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session."""
        self._authorizer.refuse_foreign(request)
        response = _go_to("/")
        forget(request, response, self._authorizer.sessions)
        return response

    async def _check(self, token: str, peer: str) -> User:
        if not is_token(token):
            raise UnauthorizedError("that is not a token")
        return await self._authorizer.check(token, Permission.READ, peer=peer)


def local_path(text: str) -> str:
    """Return a path of this server, to go to after signing in; ``/`` for everything that may lead elsewhere.

    >>> local_path("/drains?state=failed"), local_path("//evil.example"), local_path("https://evil.example")
    ('/drains?state=failed', '/', '/')
    """
    safe = len(text) <= MAX_PATH_LENGTH and _LOCAL_PATH.fullmatch(text) and "//" not in text and "\\" not in text
    return text if safe else "/"


async def _read_form(request: web.Request) -> tuple[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_FORM_BYTES, actual_size=len(body))
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=16))
    except ValueError:
        raise web.HTTPBadRequest(text="not a form") from None
    after = fields.get("next") or request.query.get("next", "")
    # A token that is pasted brings the end of its line along.
    return fields.get("token", "").strip(), local_path(after)


def _go_to(path: str) -> web.Response:
    # As it stands: what is tested is what is sent. A library would write the path anew.
    return web.Response(status=303, headers={"Location": path})
