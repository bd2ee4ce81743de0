"""Refused requests: 401, 403, 421, 429 or 503. No text holds a token.

Each error says what the sender can do about it. ``refusals`` is the middleware that answers them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.errors import DrainControllerError

Answerer = Callable[[web.Request, "RefusedError"], web.Response]
"""Writes the answer's body; its status and headers are set afterwards."""


class RefusedError(DrainControllerError):
    """The request is refused. Its text is for a person; it may hold a user's name, which may hold anything."""

    status: ClassVar[int] = 403
    headers: Mapping[str, str] = MappingProxyType({})
    """What the answer needs beside its status."""


class UnauthorizedError(RefusedError):
    """The sender is unknown: sign in, or send a token that is valid."""

    status = 401
    # Without a realm or an error code: there is nothing to choose between.
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class OpsForbiddenError(RefusedError):
    """The user is known and may not, or the request came from another site's page."""


class TooManyAttemptsError(RefusedError):
    """Too many wrong tokens, or too many of something else: wait."""

    status = 429

    def __init__(self, text: str, *, seconds: int) -> None:
        super().__init__(text)
        self.headers = {"Retry-After": str(seconds)}


class UnavailableError(RefusedError):
    """The sender cannot be checked now: try again."""

    status = 503
    headers = MappingProxyType({"Retry-After": "5"})


class OverloadedError(RefusedError):
    """Too many others are waiting for the same: try again."""

    status = 503
    headers = MappingProxyType({"Retry-After": "10"})


def answer_as_json(_: web.Request, refusal: RefusedError) -> web.Response:
    """Answer a program."""
    return web.json_response({"error": str(refusal)})


def refusals(answerer: Answerer = answer_as_json) -> Middleware:
    """Make the middleware that answers every refusal below it."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refusal:
            return refused(answerer(request, refusal), refusal)

    return answer


def refused(response: web.Response, refusal: RefusedError) -> web.Response:
    """Give an answer the status and the headers of the refusal."""
    response.set_status(refusal.status)
    response.headers.update(refusal.headers)
    return response
