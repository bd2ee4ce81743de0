"""Sign in and out with a browser: the token goes into a cookie.

Order of a sign-in: not from another site's page; the form; an attempt is left; the token may read; the cookie, and on
to where the person wanted to go.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qsl

from aiohttp import web

from controller.ops.auth.authorizer import Authorizer, Permission
from controller.ops.auth.credentials import forget, is_token, keep_signed_in
from controller.ops.auth.decision_cache import Monotonic
from controller.ops.auth.refusals import RefusedError, TooManyAttemptsError, UnauthorizedError, refused
from controller.settings import MAX_COOKIE_LENGTH

MAX_FORM_BYTES = 32 * 1024
"""Bytes."""
MAX_ATTEMPTS = 10
"""Wrong tokens of the whole process within the interval: behind a proxy everybody has the same address."""
ATTEMPT_INTERVAL = timedelta(minutes=1)
MAX_PATH_LENGTH = 2_048
"""Characters."""
_LOCAL_PATH = re.compile(r"/[\x21-\x7e]*")

SignInPage = Callable[[str, str], web.Response]
"""Renders the sign-in page again: where to go afterwards (a safe path), and what was wrong."""


class Attempts:
    """Wrong tokens of the last minute. One is counted before it is checked: many at a time are as many."""

    def __init__(self, clock: Monotonic) -> None:
        self._clock = clock
        self._taken: deque[float] = deque()

    def take(self) -> float:
        """Count one, and return its handle; TooManyAttemptsError when none is left."""
        now, window = self._clock(), ATTEMPT_INTERVAL.total_seconds()
        while self._taken and self._taken[0] <= now - window:
            self._taken.popleft()
        if len(self._taken) >= MAX_ATTEMPTS:
            seconds = max(1, math.ceil(self._taken[0] + window - now))
            raise TooManyAttemptsError(f"too many wrong tokens: try again in {seconds} s", seconds=seconds)
        self._taken.append(now)
        return now

    def give_back(self, held: float) -> None:
        """Uncount it: it was no wrong token."""
        if held in self._taken:
            self._taken.remove(held)


class SessionPages:
    """The handlers of ``POST /sign-in`` and ``POST /sign-out``."""

    def __init__(self, authorizer: Authorizer, page: SignInPage, *, clock: Monotonic = time.monotonic) -> None:
        self._authorizer = authorizer
        self._page = page
        self._attempts = Attempts(clock)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Check the form's ``token``, set the cookie, and go to ``next``; or show the page again with what is wrong."""
        self._authorizer.refuse_foreign(request)
        token, after = await _read_form(request)
        try:
            await self._check(token)
        except RefusedError as refusal:
            return refused(self._page(after, str(refusal)), refusal)
        response = _go_to(after)
        keep_signed_in(request, response, token)
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """Delete the cookie."""
        self._authorizer.refuse_foreign(request)
        response = _go_to("/")
        forget(request, response)
        return response

    async def _check(self, token: str) -> None:
        if not is_token(token):
            raise UnauthorizedError("that is not a token")
        if len(token) > MAX_COOKIE_LENGTH:
            raise UnauthorizedError(f"a browser keeps no token of more than {MAX_COOKIE_LENGTH} characters")
        held = self._attempts.take()
        wrong = False
        try:
            await self._authorizer.check(token, Permission.READ)
        except UnauthorizedError:
            wrong = True
            raise
        finally:
            if not wrong:
                self._attempts.give_back(held)


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
