"""Why a request is not let in, and how that is told: 401, 403, 429 or 503. No text holds a token.

Each error says what its sender can do about it. ``refusals`` is the middleware that answers them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.errors import DrainControllerError

Answerer = Callable[[web.Request, "RefusedError"], Awaitable[web.Response]]
"""Writes the answer's body; its status and headers are set afterwards."""


class RefusedError(DrainControllerError):
    """The request is not let in. Its text is for a person; it may hold a user's name, which may hold anything."""

    status: ClassVar[int] = 403

    @property
    def headers(self) -> dict[str, str]:
        """What the answer needs beside its status."""
        return {}


class UnauthorizedError(RefusedError):
    """Nobody known asks: sign in, or send a token that is valid."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """Without a realm or an error code: there is nothing to choose between."""
        return {"WWW-Authenticate": "Bearer"}


class OpsForbiddenError(RefusedError):
    """The user is known and may not, or the request came from another site's page."""

    status = 403


class TooManyAttemptsError(RefusedError):
    """Too many wrong tokens: wait."""

    status = 429

    def __init__(self, text: str, *, seconds: int) -> None:
        super().__init__(text)
        self.seconds = seconds

    @property
    def headers(self) -> dict[str, str]:
        """How long to wait."""
        return {"Retry-After": str(self.seconds)}


class UnavailableError(RefusedError):
    """Nobody can say now who that is: try again."""

    status = 503

    @property
    def headers(self) -> dict[str, str]:
        """The API server is asked anew each time."""
        return {"Retry-After": "5"}


async def answer_as_json(_: web.Request, refusal: RefusedError) -> web.Response:
    """Tell it to a program."""
    return web.json_response({"error": str(refusal)})


def refusals(tell: Answerer = answer_as_json) -> Middleware:
    """Make the middleware that answers every refusal below it."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refusal:
            return await answered(request, refusal, tell)

    return answer


async def answered(request: web.Request, refusal: RefusedError, tell: Answerer) -> web.Response:
    """Answer one refusal."""
    response = await tell(request, refusal)
    response.set_status(refusal.status)
    response.headers.update(refusal.headers)
    return response
