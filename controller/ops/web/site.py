"""The application of ``ops``: what its routes share, who may use them, and how a mistake is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from aiohttp.typedefs import Handler
from loguru import logger

from controller.domain.arrivals import Arrival
from controller.domain.dead_messages import DeadMessage
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.replay_plan import Requester
from controller.domain.requests import Request, requests_of
from controller.domain.rollouts import Rollout
from controller.domain.selection import Selection, SelectionError
from controller.domain.sweep_report import LatestSweeps
from controller.errors import BusyError, DeclinedError, DrainControllerError
from controller.flows.overview import Overview
from controller.flows.ports import Clock
from controller.flows.replay_runs import ReplayRun, ReplayRuns
from controller.flows.requeue import Settlement
from controller.ops.answers import ErrorAnswer, JsonAnswer, json_text
from controller.ops.auth.authorizer import Authorizer
from controller.ops.auth.headers import MAX_BODY_BYTES, protect, time_limit
from controller.ops.auth.host_names import check_host
from controller.ops.auth.refusals import RefusedError, refusals
from controller.ops.web.server_sent_events import Live
from controller.settings import OpsSettings, Settings

API = "/api/"
ByHand = Callable[[tuple[str, str], Requester], Awaitable[Collection[str]]]
"""Sends what a person asks for of a pod, and returns its drains' ids. DeclinedError says why nothing is sent."""

SettleDead = Callable[[Selection, Requester, bool], Awaitable[Settlement]]
"""Sends the dead letters that are chosen again; True: drops them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the routes are given."""

    settings: Settings
    authorizer: Authorizer
    drains: DrainIndex
    sweeps: LatestSweeps
    overview: Overview
    live: Live
    replay_runs: ReplayRuns
    clock: Clock
    is_read: Callable[[], bool]
    """Whether the event log has been read: before, the page cannot say that there is nothing."""
    read_older: Callable[[Selection], Awaitable[list[DrainRecord]]]
    """Reads further back than ``drains`` does."""
    find: Callable[[str], Awaitable[DrainRecord | None]]
    """One drain with its timeline, however old."""
    drain_by_hand: ByHand
    restore_by_hand: ByHand
    arrivals: Callable[[Rollout], Awaitable[list[tuple[datetime, Arrival]]]]
    """What came up in a rollout's time, and when."""
    dead_messages: Callable[[], Awaitable[tuple[list[DeadMessage], list[str]]]]
    """The dead letters that can be read, and what is wrong with the regions whose cannot."""
    settle_dead: SettleDead

    async def select(self, selection: Selection) -> list[DrainRecord]:
        """Return the drains that are wanted, from memory, or from the log where memory does not reach back that far."""
        reach = self.clock() - self.settings.broker.event_lookback
        if selection.since is not None and selection.since < reach:
            return await self.read_older(selection)
        return self.drains.select(selection)

    async def record(self, drain_id: str) -> DrainRecord:
        """Return one drain with its timeline."""
        record = self.drains.get(drain_id)
        if record is None or record.facts is None:
            record = await self.find(drain_id) or record
        if record is None:
            raise web.HTTPNotFound(reason="the event log holds nothing about this drain")
        return record

    def replay_run(self, request: web.Request) -> ReplayRun:
        """Return the replay that the path names."""
        run = self.replay_runs.get(request.match_info["id"])
        if run is None:
            raise web.HTTPNotFound(reason="no such replay in this process; /requests has those of earlier ones")
        return run

    def requests(self) -> list[Request]:
        """Return what was asked for, the newest first, as far back as memory reaches."""
        return requests_of(self.drains)

    def request(self, request_id: str) -> Request:
        """Return one of them."""
        found = next((one for one in self.requests() if one.id == request_id), None)
        if found is None:
            raise web.HTTPNotFound(reason="the newest part of the event log holds no such request")
        return found


Render = Callable[[web.Request, int, str], web.Response]
"""Makes the page for a mistake."""


def application(render: Render, settings: OpsSettings) -> web.Application:
    """Make the empty application."""

    def answer(request: web.Request, status: int, text: str) -> web.Response:
        if request.path.startswith(API):
            return json_response(ErrorAnswer(error=text), status=status)
        return render(request, status, text)

    def refuse(request: web.Request, refusal: RefusedError) -> web.Response:
        return answer(request, refusal.status, str(refusal))

    @web.middleware
    async def mistakes(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except SelectionError as error:
            return answer(request, 400, str(error))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = answer(request, error.status, error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except (RefusedError, ConnectionError):
            raise
        except (BusyError, DeclinedError) as error:
            return answer(request, 409, str(error))
        except DrainControllerError as error:
            return answer(request, 503, str(error))
        except Exception as error:
            # Which mistake of ours it was is for the log; whoever asked can do nothing with it.
            logger.bind(path=request.path, error=f"{type(error).__name__}: {error}").error("a request failed")
            logger.opt(exception=error).debug("where it failed")
            return answer(request, 500, "a mistake of this program; its log says more")

    host = check_host(settings.hosts, trust_forwarded=settings.trust_forwarded)
    made = web.Application(middlewares=[time_limit, refusals(refuse), host, mistakes], client_max_size=MAX_BODY_BYTES)
    protect(made)
    return made


def json_response(answer: JsonAnswer, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer a program."""
    return web.Response(
        body=json_text(answer).encode(), status=status, content_type="application/json", headers=headers
    )
