"""The HTTP API, version 1: what the page shows, as JSON. ``openapi`` describes it."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from controller.domain.replay_plan import Requester
from controller.domain.selection import Selection, SelectionError
from controller.ops.answers import drain_answer, execution_answer, item_answer, region_answer, timeline_answer
from controller.ops.auth.authorizer import Permission
from controller.ops.web.openapi import document
from controller.ops.web.replays import BusyError
from controller.ops.web.site import FILTERS, Site, json_answer, selection_of

MAX_DRAINS = 5_000
DEFAULT_DRAINS = 500
FASTEST = 1_000.0
"""Drains a second."""
PARAMETERS = {*FILTERS, "state", "id", "limit"}
KNOWN = {
    "since", "until", "region", "app", "namespace", "pod", "state", "id", "execute", "again", "rps", "reason",
}  # fmt: skip


class Api:
    """The routes below ``/api/v1``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Every route."""
        return [
            web.get("/api/v1/openapi.json", self.openapi),
            web.get("/api/v1/regions", self.regions),
            web.get("/api/v1/drains", self.drains),
            web.get("/api/v1/drains/{id}", self.drain),
            web.get("/api/v1/events", self.events, allow_head=False),  # a HEAD of it would have no end
            web.post("/api/v1/replays", self.replay),
            web.get("/api/v1/replays/{id}", self.execution),
        ]

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of the API."""
        await self._site.gate.admit(request, Permission.READ)
        return json_answer(document())

    async def regions(self, request: web.Request) -> web.Response:
        """Every region's newest state."""
        await self._site.gate.admit(request, Permission.READ)
        states = self._site.overview.states
        return json_answer({"regions": [region_answer(states[name]) for name in sorted(states)]})

    async def drains(self, request: web.Request) -> web.Response:
        """The drains that the filters choose, the newest first."""
        await self._site.gate.admit(request, Permission.READ)
        unknown = sorted(set(request.query) - PARAMETERS)
        if unknown:  # a misspelt filter must not choose everything
            raise SelectionError(f"unknown parameter {unknown[0][:40]!r}; known are {', '.join(sorted(PARAMETERS))}")
        selection = selection_of(request, self._site.clock())
        most = _whole(request.query.get("limit", str(DEFAULT_DRAINS)))
        found = await self._site.select(selection)
        shown = found[::-1][:most]
        answer = {
            "drains": [drain_answer(record, self._site.clock()) for record in shown],
            "more": len(found) - len(shown),
        }
        return json_answer(answer)

    async def drain(self, request: web.Request) -> web.Response:
        """One drain with its timeline."""
        await self._site.gate.admit(request, Permission.READ)
        record = await self._site.record(request.match_info["id"])
        if record is None:
            raise web.HTTPNotFound(reason="the event log tells nothing of this drain")
        return json_answer(timeline_answer(record, self._site.clock()))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """What is told from now on."""
        await self._site.gate.admit(request, Permission.READ)
        return await self._site.live.follow(request)

    async def replay(self, request: web.Request) -> web.Response:
        """A plan; with ``"execute": true`` its execution."""
        user = await self._site.gate.admit(request, Permission.WRITE)
        given = await _body(request)
        now = self._site.clock()
        selection = selection_of(request, now, given)
        again, execute = _flag("again", given), _flag("execute", given)
        requester = Requester(by=user.name, at=now, why=_reason(given))
        a_second = _rate(given)
        if selection == Selection() and execute:
            raise SelectionError("since: a replay that is executed needs a filter; everything is not meant")
        try:
            if execute:
                execution = await self._site.replays.execute(selection, requester, again=again, a_second=a_second)
                where = f"/api/v1/replays/{execution.id}"
                return json_answer(execution_answer(execution), status=202, headers={"Location": where})
            items = await self._site.replays.plan(selection, requester, again=again)
        except BusyError as error:
            return json_answer({"error": str(error)}, status=409)
        return json_answer({"executed": False, "items": [item_answer(item) for item in items]})

    async def execution(self, request: web.Request) -> web.Response:
        """How far an execution has come."""
        await self._site.gate.admit(request, Permission.READ)
        execution = self._site.replays.get(request.match_info["id"])
        if execution is None:
            raise web.HTTPNotFound(reason="no such replay; only this process's newest ones are known")
        return json_answer(execution_answer(execution))


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the body is to be application/json")
    try:
        given = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise SelectionError("the body is not JSON") from None
    if not isinstance(given, dict):
        raise SelectionError("the body is not an object")
    unknown = sorted(set(given) - KNOWN)
    if unknown:
        raise SelectionError(f"unknown field {unknown[0][:40]!r}; known are {', '.join(sorted(KNOWN))}")
    return given


def _flag(name: str, given: dict[str, Any]) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise SelectionError(f"{name}: neither true nor false")
    return value


def _reason(given: dict[str, Any]) -> str:
    value = given.get("reason", "")
    if not isinstance(value, str) or len(value) > 2_000:
        raise SelectionError("reason: not a text of at most 2000 characters")
    return value


def _rate(given: dict[str, Any]) -> float:
    value = given.get("rps", 50)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SelectionError("rps: not a number")
    if not 0.01 <= value <= FASTEST:  # nor is NaN, and a whole number may be too large for a float
        raise SelectionError(f"rps: not between 0.01 and {FASTEST:.0f}")
    return float(value)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_DRAINS):
        raise SelectionError(f"limit: not a whole number from 1 to {MAX_DRAINS}")
    return int(text)
