"""The application of ``ops``: what its routes share, who may use them, and how a mistake is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from loguru import logger

from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.selection import Selection, SelectionError, select
from controller.errors import DrainControllerError
from controller.flows.overview import Overview
from controller.ops.auth.authorizer import Authorizer
from controller.ops.auth.headers import MAX_BODY_BYTES, protect, time_limit
from controller.ops.auth.refusals import RefusedError, refusals
from controller.ops.web.live import Live
from controller.ops.web.replays import Replays
from controller.settings import Settings

FILTERS = ("since", "until", "region", "app", "namespace", "pod")
"""The filters that are one text each; ``state`` and ``id`` may come again and again."""
API = "/api/"
MAX_MESSAGES = 500
"""Dead letters of one region that the page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the routes are given."""

    settings: Settings
    gate: Authorizer
    history: DrainIndex
    overview: Overview
    live: Live
    replays: Replays
    clock: Callable[[], datetime]
    is_read: Callable[[], bool]
    """Whether the event log has been read: before, the page cannot say that there is nothing."""
    older: Callable[[Selection], Awaitable[list[DrainRecord]]]
    """Reads further back than ``history`` does."""
    find: Callable[[str], Awaitable[DrainRecord | None]]
    """One drain with its timeline, however old."""
    letters: Callable[[], Awaitable[Any]]

    async def select(self, selection: Selection) -> list[DrainRecord]:
        """The drains that are wanted, from memory, or from the log where memory does not reach back that far."""
        reach = self.clock() - self.settings.broker.event_lookback
        if selection.since is not None and selection.since < reach:
            return await self.older(selection)
        return self.history.select(selection)

    async def record(self, drain_id: str) -> DrainRecord | None:
        """One drain with its timeline."""
        record = self.history.get(drain_id)
        if record is not None and record.facts is not None:
            return record
        return await self.find(drain_id) or record


def selection_of(request: web.Request, now: datetime, given: dict[str, Any] | None = None) -> Selection:
    """The filters of a query, or of a body; SelectionError names the one that is wrong."""
    if given is None:
        texts = {name: _text(name, request.query.get(name, "")) for name in FILTERS}
        states, ids = request.query.getall("state", []), _texts("id", request.query.getall("id", []))
    else:
        texts = {name: _text(name, given.get(name, "")) for name in FILTERS}
        states, ids = _texts("state", given.get("state", [])), _texts("id", given.get("id", []))
    return select(now=now, states=[one for one in states if one], ids=ids, **texts)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 300:
        raise SelectionError(f"{name}: not a text of at most 300 characters")
    return value


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or len(value) > 10_000:
        raise SelectionError(f"{name}: not a list of texts")
    return [_text(name, one) for one in value]


def application(show: Callable[[web.Request, int, str], Awaitable[web.Response]]) -> web.Application:
    """The empty application; ``show`` makes the page for a mistake."""

    async def tell(request: web.Request, refusal: RefusedError) -> web.Response:
        return await _answer(request, refusal.status, str(refusal), show)

    @web.middleware
    async def mistakes(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except SelectionError as error:
            return await _answer(request, 400, str(error), show)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = await _answer(request, error.status, error.reason, show)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except RefusedError:
            raise
        except DrainControllerError as error:
            return await _answer(request, 503, str(error), show)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            # Which mistake of ours it was is for the log; whoever asked can do nothing with it.
            logger.bind(path=request.path, error=f"{type(error).__name__}: {error}").error("a request failed")
            logger.opt(exception=error).debug("where it failed")
            return await _answer(request, 500, "a mistake of this program; its log says more", show)

    made = web.Application(middlewares=[time_limit, refusals(tell), mistakes], client_max_size=MAX_BODY_BYTES)
    protect(made)
    return made


async def _answer(
    request: web.Request, status: int, text: str, show: Callable[[web.Request, int, str], Awaitable[web.Response]]
) -> web.Response:
    if request.path.startswith(API):
        return web.json_response({"error": text}, status=status)
    return await show(request, status, text)


def json_answer(thing: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer of the API."""
    return web.Response(
        body=json.dumps(thing).encode(), status=status, content_type="application/json", headers=headers
    )
