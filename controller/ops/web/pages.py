"""The pages. Complete without JavaScript; with it they stay fresh by fetching a fragment of themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from aiohttp import web
from jinja2 import Environment

from controller.domain.dead_messages import DeadMessage
from controller.domain.drain_record import STATE_PRECEDENCE
from controller.domain.durations import format_duration
from controller.domain.region_state import RegionState
from controller.domain.replay_plan import ReplayItem, Requester
from controller.domain.selection import Selection, SelectionError
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.domain.timeline import moments
from controller.errors import BusyError
from controller.ops.auth.authorizer import Permission
from controller.ops.auth.session import SessionPages, local_path
from controller.ops.tables import plan_order
from controller.ops.web.drain_groups import chips_of, groups_of, query_of
from controller.ops.web.markup import STATIC, content
from controller.ops.web.queries import Filters, ReplayBody, given_in, read, selection_of
from controller.ops.web.rendering import FAST_REFRESH_SECONDS, REFRESH_SECONDS, Renderer
from controller.ops.web.site import Site
from controller.ops.web.timeline_chart import picture

MAX_ITEMS = 500
"""Drains of a plan or of its execution that a page shows; the counts are of all."""
MAX_REQUESTS = 50
"""What was asked for, the newest."""
MAX_MESSAGES = 500
"""Dead letters of one region that the page shows."""
WIDER = "7d"
"""What is offered where nothing was found."""


class Pages:
    """The routes that give HTML."""

    def __init__(self, site: Site, session: SessionPages, renderer: Renderer) -> None:
        self._site = site
        self._session = session
        self._render = renderer

    def routes(self) -> list[web.RouteDef]:
        """Every route."""
        return [
            web.get("/", self.index),
            web.get("/drains/{id}", self.drain),
            web.get("/dead", self.dead),
            web.get("/sweep", self.sweep),
            web.get("/replays", self.replays),
            web.post("/replays", self.replay),
            web.get("/replays/{id}", self.run),
            web.get("/requests/{id}", self.request),
            web.post("/replays/{id}/stop", self.stop),
            web.get("/sign-in", self.sign_in),
            web.post("/sign-in", self._session.sign_in),
            web.post("/sign-out", self._session.sign_out),
            web.get("/static/{name}", self.static),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """Regions across the top, drains below."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        now, reach = self._site.clock(), self._site.settings.broker.event_lookback
        given = given_in(request.query)
        selection, problem, everything = Selection(), "", []
        try:
            selection = selection_of(read(Filters, given), now)
            # The states are counted before one of them is chosen: else there would be nothing to choose.
            everything = await self._site.select(replace(selection, states=frozenset()))
        except SelectionError as error:
            problem = str(error)
        found = [record for record in everything if selection.wants(record)]
        groups, is_read = groups_of(found), self._site.is_read()
        states = self._site.overview.states
        facts = {
            "regions": _in_trouble_first(
                {name: states.get(name) for name in sorted({*states, *self._site.settings.regions})}
            ),
            "groups": groups,
            "count": len(found),
            "not_graceful": sum(shutdown_of(record).verdict is ShutdownVerdict.not_graceful for record in found),
            "left_out": len(found) - sum(len(group.drains) for group in groups),
            "chips": chips_of(Counter(record.state for record in everything), given),
            "total": len(everything),
            "all_href": f"/?{query_of({**given, 'state': []})}",
            "problem": problem,
            "is_read": is_read,
            "since": selection.since or now - reach,
            "until": selection.until,
            "is_filtered": replace(selection, since=None, until=None) != Selection(),
            "given": given,
            "wider_href": f"/?{query_of({**given, 'since': WIDER, 'until': ''})}",
            "replay_query": query_of({**given, "since": given["since"] or format_duration(reach)}),
            "every": REFRESH_SECONDS if is_read else FAST_REFRESH_SECONDS,
        }
        return await self._render.page(request, "index.html", "_live.html", user=user, **facts)

    async def drain(self, request: web.Request) -> web.Response:
        """One drain's timeline."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        record = await self._site.record(request.match_info["id"])
        shown = moments(record, self._site.clock())
        facts = {"record": record, "moments": shown, "picture": picture(shown), "every": 0}
        return await self._render.page(request, "drain.html", "_drain.html", user=user, **facts)

    async def dead(self, request: web.Request) -> web.Response:
        """Show the dead letters, grouped by their reasons."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        messages, unreadable = await self._site.dead_messages()
        groups: dict[tuple[str, str], list[DeadMessage]] = {}
        for message in messages:
            groups.setdefault((message.region, message.reason), []).append(message)
        per_region = Counter(message.region for message in messages)
        facts: dict[str, Any] = {
            "groups": sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])),
            "unreadable": unreadable,
            "with_ours": {message.region for message in messages if message.item},
            "with_foreign": {message.region for message in messages if not message.item},
            "cut": [name for name, count in per_region.items() if count >= MAX_MESSAGES],
            "most": MAX_MESSAGES,
        }
        return await self._render.page(request, "dead.html", user=user, **facts)

    async def sweep(self, request: web.Request) -> web.Response:
        """Show what the newest passes of the sweep came to."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        facts: dict[str, Any] = {"sweeps": self._site.sweeps.all(), "is_read": self._site.is_read()}
        return await self._render.page(request, "sweep.html", user=user, **facts)

    async def replays(self, request: web.Request) -> web.Response:
        """Choose what to replay."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        facts = {**_planned(None), "problem": "", "reason": "", "rps": "50", "given": given_in(request.query)}
        return await self._render.page(request, "replay.html", user=user, **facts, **self._asked_for())

    async def replay(self, request: web.Request) -> web.Response:
        """Show the plan, or execute it."""
        user = await self._site.authorizer.authorize(request, Permission.WRITE)
        try:
            form = await request.post()
        except (ValueError, LookupError) as error:  # a form without its boundary, or in an unknown encoding
            raise web.HTTPBadRequest(reason="the form cannot be read") from error
        given = given_in(form)
        reason, rps = str(form.get("reason", ""))[:2_000], str(form.get("rps", "50"))
        now = self._site.clock()
        requester = Requester(by=user.name, at=now, why=reason)
        items, problem, runs = None, "", self._site.replay_runs
        try:
            body = read(ReplayBody, {**given, "reason": reason, "rps": rps}, strict=False)
            selection = selection_of(body, now)
            if selection == Selection():
                raise SelectionError("choose something: a time, a region, an app, a pod, a state")
            if form.get("action") == "execute":
                begun = await runs.execute(selection, requester, again=False, per_second=body.rps)
                return web.Response(status=303, headers={"Location": f"/replays/{begun.id}"})
            items = await runs.plan(selection, requester)
        except (SelectionError, BusyError) as error:
            problem = str(error)
        facts = {**_planned(items), "problem": problem, "reason": reason, "rps": rps, "given": given}
        return await self._render.page(request, "replay.html", user=user, **facts, **self._asked_for())

    async def run(self, request: web.Request) -> web.Response:
        """Show how far a replay has come."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        run = self._site.replay_runs.get(request.match_info["id"])
        if run is None:  # of a process that has ended
            raise web.HTTPSeeOther(f"/requests/{self._site.request(request.match_info['id']).id}")
        steps = sorted(run.steps, key=lambda step: step.rank)
        facts = {
            "run": run,
            "state": run.state,
            "steps": steps,
            "bad": sum(step.is_bad for step in steps),
            "most": MAX_ITEMS,
            "every": FAST_REFRESH_SECONDS if run.over_at is None else 0,
        }
        return await self._render.page(request, "run.html", "_run.html", user=user, **facts)

    async def request(self, request: web.Request) -> web.Response:
        """Show what was asked for at one time, and what each of its drains came to."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        found = self._site.request(request.match_info["id"])
        drains = sorted(found.drains, key=lambda record: STATE_PRECEDENCE.index(record.state))
        facts: dict[str, Any] = {
            "asked": found,
            "drains": drains[:MAX_ITEMS],
            "left_out": max(0, len(drains) - MAX_ITEMS),
        }
        return await self._render.page(request, "request.html", user=user, **facts)

    def _asked_for(self) -> dict[str, Any]:
        found = self._site.requests()
        return {"asked": found[:MAX_REQUESTS], "asked_left_out": max(0, len(found) - MAX_REQUESTS)}

    async def stop(self, request: web.Request) -> web.Response:
        """Send no more of a replay."""
        await self._site.authorizer.authorize(request, Permission.WRITE)
        run = self._site.replay_run(request)
        self._site.replay_runs.stop(run)
        return web.Response(status=303, headers={"Location": f"/replays/{run.id}"})

    async def sign_in(self, request: web.Request) -> web.Response:
        """Ask for a token."""
        return sign_in_page(self._render.templates, local_path(request.query.get("next", "/")), "")

    async def static(self, request: web.Request) -> web.Response:
        """Serve the style, the script, the icon; they hold nothing that anybody may not see."""
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=300"}
        return web.Response(body=content(name), content_type=STATIC[name], charset="utf-8", headers=headers)


def sign_in_page(templates: Environment, after: str, problem: str) -> web.Response:
    """Render the page that asks for a token."""
    text = templates.get_template("sign_in.html").render(after=after, problem=problem, user=None, path="/sign-in")
    return web.Response(text=text, content_type="text/html")


def mistake_page(templates: Environment, request: web.Request, status: int, text: str) -> web.Response:
    """Render the page for a mistake; for somebody unknown, the one that asks for a token."""
    if status == 401 and request.method == "GET":
        return sign_in_page(templates, local_path(request.path_qs), "")
    body = templates.get_template("mistake.html").render(status=status, text=text, user=None, path=request.path)
    return web.Response(text=body, status=status, content_type="text/html")


def _in_trouble_first(regions: dict[str, RegionState | None]) -> list[tuple[str, RegionState | None]]:
    return sorted(regions.items(), key=lambda one: not (one[1] and one[1].troubles))


def _planned(items: list[ReplayItem] | None) -> dict[str, Any]:
    """Return a plan, what would be drained first."""
    ordered = plan_order(items or ())
    return {
        "is_planned": items is not None,
        "items": ordered[:MAX_ITEMS],
        "left_out": max(0, len(ordered) - MAX_ITEMS),
        "counted": Counter(item.decision.action for item in ordered),
    }
