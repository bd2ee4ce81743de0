"""The HTTP API, version 1: what the page shows, as JSON or text. ``openapi`` describes it from its operations."""

from __future__ import annotations

import json
from datetime import datetime

import msgspec
from aiohttp import web

from controller.domain.replay_plan import Requester
from controller.domain.rollouts import rollouts_of
from controller.domain.selection import ROLLOUT_FILTERS, Selection, SelectionError
from controller.domain.timeline import moments
from controller.ops.answers import (
    DeadAnswer,
    DrainsAnswer,
    RegionsAnswer,
    SettledAnswer,
    TimelineAnswer,
    dead_message_answer,
    drain_answer,
    region_answer,
    timeline_answer,
)
from controller.ops.auth.authorizer import Permission
from controller.ops.auth.decision_cache import User
from controller.ops.replay_answers import PlanAnswer, ReplayAnswer, SentAnswer, item_answer, replay_answer
from controller.ops.request_answers import (
    RequestedDrainsAnswer,
    RequestsAnswer,
    request_answer,
    requested_drains_answer,
)
from controller.ops.rollout_answers import RolloutsAnswer, rollout_answer
from controller.ops.rollout_tables import rollouts_text
from controller.ops.sweep_answers import SweepsAnswer, sweep_answer
from controller.ops.tables import drain_text, drains_table
from controller.ops.web.openapi import PREFIX, Operation, document
from controller.ops.web.plain_text import dead_text, plain_text_wanted, plan_text, replay_text, with_rest
from controller.ops.web.queries import (
    DEAD_FILTERS,
    ByHandBody,
    DeadBody,
    DeadQuery,
    DrainsQuery,
    EventsQuery,
    ReplayBody,
    RolloutsQuery,
    Signed,
    given_in,
    read,
    selection_of,
)
from controller.ops.web.site import ByHand, Site, json_response

MAX_REQUESTS = 100
"""The newest ones."""
CHANGE_REFUSALS = (400, 409, 413, 415)
"""What a request that changes something may be answered."""


class Api:
    """The routes below ``/api/v1``."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._operations = [
            Operation("/regions", self.regions, {200: RegionsAnswer}),
            Operation("/drains", self.drains, {200: DrainsAnswer}, query=DrainsQuery, text=True, refusals=(400,)),
            Operation("/drains", self.drain_by_hand, {202: SentAnswer}, body=ByHandBody, refusals=CHANGE_REFUSALS),
            Operation("/restores", self.restore_by_hand, {202: SentAnswer}, body=ByHandBody, refusals=CHANGE_REFUSALS),
            Operation(
                "/rollouts", self.rollouts, {200: RolloutsAnswer}, query=RolloutsQuery, text=True, refusals=(400,)
            ),
            Operation("/dead", self.dead, {200: DeadAnswer}, query=DeadQuery, text=True, refusals=(400,)),
            Operation("/dead", self.settle_dead, {200: SettledAnswer}, body=DeadBody, refusals=CHANGE_REFUSALS),
            Operation("/drains/{id}", self.drain, {200: TimelineAnswer}, text=True, refusals=(404,)),
            Operation("/events", self.events, {}, query=EventsQuery, content_type="text/event-stream"),
            Operation(
                "/replays",
                self.replay,
                {200: PlanAnswer, 202: ReplayAnswer},
                body=ReplayBody,
                text=True,
                refusals=CHANGE_REFUSALS,
            ),
            Operation("/replays/{id}", self.run, {200: ReplayAnswer}, text=True, refusals=(404,)),
            Operation("/requests", self.requests, {200: RequestsAnswer}),
            Operation("/requests/{id}", self.request, {200: RequestedDrainsAnswer}, refusals=(404,)),
            Operation("/sweeps", self.sweeps, {200: SweepsAnswer}),
            Operation("/openapi.json", self.openapi, {}),
        ]
        self._document = json.dumps(document(self._operations))

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [
            # A HEAD of the events would have no end.
            web.get(PREFIX + one.path, one.handler, allow_head=one.query is not EventsQuery)
            if one.body is None
            else web.post(PREFIX + one.path, one.handler)
            for one in self._operations
        ]

    async def openapi(self, request: web.Request) -> web.Response:
        """Describe the API."""
        await self._site.authorizer.authorize(request, Permission.READ)
        return web.Response(text=self._document, content_type="application/json")

    async def regions(self, request: web.Request) -> web.Response:
        """Show every region's newest state."""
        await self._site.authorizer.authorize(request, Permission.READ)
        states = self._site.overview.states
        return json_response(RegionsAnswer(regions=[region_answer(states[name]) for name in sorted(states)]))

    async def drains(self, request: web.Request) -> web.Response:
        """List the drains that the filters choose, the newest first."""
        await self._site.authorizer.authorize(request, Permission.READ)
        query = read(DrainsQuery, {**request.query, **given_in(request.query), **_limit_in(request)})
        now = self._site.clock()
        found = await self._site.select(selection_of(query, now))
        chosen = found[-query.limit :]
        more = len(found) - len(chosen)
        if text := plain_text_wanted(request):
            return web.Response(text=with_rest(drains_table(chosen, now, width=text.width), more, "drains"))
        return json_response(DrainsAnswer(drains=[drain_answer(record, now) for record in chosen[::-1]], more=more))

    async def drain_by_hand(self, request: web.Request) -> web.Response:
        """Take one living pod out of service; it stays so until it is put back, or dies."""
        return await self._by_hand(request, self._site.drain_by_hand)

    async def restore_by_hand(self, request: web.Request) -> web.Response:
        """Put one living pod back that a drain has taken out."""
        return await self._by_hand(request, self._site.restore_by_hand)

    async def _by_hand(self, request: web.Request, carry_out: ByHand) -> web.Response:
        user = await self._site.authorizer.authorize(request, Permission.WRITE)
        body = read(ByHandBody, await _object(request))
        namespace, _, name = body.pod.partition("/")
        requester = requester_of(user, body, self._site.clock())
        ids = await carry_out((namespace, name), requester)
        return json_response(SentAnswer(drain_ids=sorted(ids), requested_at=requester.at), status=202)

    async def rollouts(self, request: web.Request) -> web.Response:
        """List the rollouts that the filters choose, each with its pods, the newest first."""
        await self._site.authorizer.authorize(request, Permission.READ)
        given = given_in(request.query, ROLLOUT_FILTERS)
        query = read(RolloutsQuery, {**request.query, **given, **_limit_in(request)})
        now = self._site.clock()
        found = rollouts_of(await self._site.select(selection_of(query, now)))
        chosen = found[-query.limit :]
        more = len(found) - len(chosen)
        if text := plain_text_wanted(request):
            return web.Response(text=with_rest(rollouts_text(chosen, now, width=text.width), more, "rollouts"))
        return json_response(RolloutsAnswer(rollouts=[rollout_answer(one, now) for one in chosen[::-1]], more=more))

    async def dead(self, request: web.Request) -> web.Response:
        """List the dead letters that the filters choose."""
        await self._site.authorizer.authorize(request, Permission.READ)
        query = read(DeadQuery, {**request.query, **given_in(request.query, DEAD_FILTERS)})
        selection = selection_of(query, self._site.clock())
        messages, troubles = await self._site.dead_messages()
        messages = [message for message in messages if message.fits(selection)]
        if text := plain_text_wanted(request):
            return web.Response(text=dead_text(messages, troubles, width=text.width))
        return json_response(DeadAnswer(dead=[dead_message_answer(one) for one in messages], troubles=troubles))

    async def settle_dead(self, request: web.Request) -> web.Response:
        """Send dead letters again, or drop them for good."""
        user = await self._site.authorizer.authorize(request, Permission.WRITE)
        body, now = read(DeadBody, await _object(request)), self._site.clock()
        selection, drops = selection_of(body, now), body.action == "drop"
        if drops and selection == Selection():
            raise SelectionError("region: what is dropped needs a filter; everything is not meant")
        done = await self._site.settle_dead(selection, requester_of(user, body, now), drops)
        left = [dead_message_answer(one) for one in done.foreign]
        return json_response(SettledAnswer(settled=done.settled, left=left, unseen=done.unseen))

    async def drain(self, request: web.Request) -> web.Response:
        """Show one drain with its timeline."""
        await self._site.authorizer.authorize(request, Permission.READ)
        record, now = await self._site.record(request.match_info["id"]), self._site.clock()
        if text := plain_text_wanted(request):
            return web.Response(text=drain_text(record, moments(record, now), now, width=text.width))
        return json_response(timeline_answer(record, now))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Send events: drain at each change of state; and end, when a drained pod has ended serving."""
        authorizer = self._site.authorizer
        user = await authorizer.authorize(request, Permission.READ)
        return await self._site.live.follow(request, user, lambda: authorizer.authorize(request, Permission.READ))

    async def replay(self, request: web.Request) -> web.Response:
        """Plan a replay; with ``"execute": true`` begin it."""
        user = await self._site.authorizer.authorize(request, Permission.WRITE)
        body, now = read(ReplayBody, await _object(request)), self._site.clock()
        selection = selection_of(body, now)
        requester = requester_of(user, body, now)
        if selection == Selection() and body.execute:
            raise SelectionError("since: a replay that is executed needs a filter; everything is not meant")
        runs = self._site.replay_runs
        if body.execute:
            run = await runs.execute(selection, requester, again=body.again, per_second=body.rps)
            headers = {"Location": f"{PREFIX}/replays/{run.id}"}
            return json_response(replay_answer(run), status=202, headers=headers)
        items = await runs.plan(selection, requester, again=body.again)
        if text := plain_text_wanted(request):
            return web.Response(text=plan_text(items, width=text.width))
        return json_response(PlanAnswer(executed=False, items=[item_answer(item) for item in items]))

    async def run(self, request: web.Request) -> web.Response:
        """Show how far a replay has come."""
        await self._site.authorizer.authorize(request, Permission.READ)
        run = self._site.replay_run(request)
        if text := plain_text_wanted(request):
            return web.Response(text=replay_text(run, self._site.clock(), width=text.width))
        return json_response(replay_answer(run))

    async def requests(self, request: web.Request) -> web.Response:
        """List what people and the sweep asked for, the newest first: replays, drains and restores by hand."""
        await self._site.authorizer.authorize(request, Permission.READ)
        found = self._site.requests()
        chosen = [request_answer(one) for one in found[:MAX_REQUESTS]]
        return json_response(RequestsAnswer(requests=chosen, more=len(found) - len(chosen)))

    async def request(self, request: web.Request) -> web.Response:
        """Show what was asked for at one time, and what each of its drains came to."""
        await self._site.authorizer.authorize(request, Permission.READ)
        found = self._site.request(request.match_info["id"])
        return json_response(requested_drains_answer(found, self._site.clock()))

    async def sweeps(self, request: web.Request) -> web.Response:
        """Show what is in Eureka without a living pod behind it, by the newest pass of the sweep over each region."""
        await self._site.authorizer.authorize(request, Permission.READ)
        return json_response(SweepsAnswer(sweeps=[sweep_answer(one) for one in self._site.sweeps.all()]))


def requester_of(user: User, body: Signed, now: datetime) -> Requester:
    """Return who asks, by whose token it is, and whom a shared account's user says that it acts for."""
    by = f"{user.name}, for {body.on_behalf_of} (not authenticated)" if body.on_behalf_of else user.name
    return Requester(by=by, at=now, why=body.reason)


def _limit_in(request: web.Request) -> dict[str, int]:
    limit = request.query.get("limit", "")
    return {"limit": int(limit)} if limit.isascii() and limit.isdecimal() and len(limit) < 9 else {}


async def _object(request: web.Request) -> dict[str, object]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the body is to be application/json")
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SelectionError(f"the body cannot be read: {error}") from None
