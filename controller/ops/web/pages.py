"""The pages. Complete without JavaScript; with it they stay fresh by fetching a fragment of themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from aiohttp import web
from jinja2 import Environment

from controller.domain.durations import format_duration
from controller.domain.region_state import RegionState
from controller.domain.replay_plan import ReplayAction, ReplayItem, Requester
from controller.domain.selection import Selection, SelectionError
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.domain.timeline import moments
from controller.ops.auth.authorizer import Permission
from controller.ops.auth.refusals import RefusedError
from controller.ops.auth.session import SessionPages, local_path
from controller.ops.web.drain_groups import chips_of, groups_of, query_of
from controller.ops.web.markup import STATIC, content
from controller.ops.web.picture import picture
from controller.ops.web.replay_progress import ReplayState, view_of
from controller.ops.web.replays import BusyError, Execution
from controller.ops.web.site import FILTERS, MAX_MESSAGES, Site, selection_of

SHOWN_ITEMS = 500
"""Drains of a plan or of its execution that a page shows; the counts are of all."""
WIDER = "7d"
"""What is offered where nothing was found."""
REFRESH_SECONDS = 10
"""Seconds after which the script asks for the regions again: they change without an event."""
FAST_REFRESH_SECONDS = 2
"""While the log is being read, or a replay runs."""


class Pages:
    """The routes that give HTML."""

    def __init__(self, site: Site, signing_in: SessionPages, templates: Environment) -> None:
        self._site = site
        self._signing_in = signing_in
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Every route."""
        return [
            web.get("/", self.index),
            web.get("/drains/{id}", self.drain),
            web.get("/dead", self.dead),
            web.get("/replays", self.replays),
            web.post("/replays", self.replay),
            web.get("/replays/{id}", self.execution),
            web.post("/replays/{id}/stop", self.stop),
            web.get("/sign-in", self.sign_in),
            web.post("/sign-in", self._signing_in.sign_in),
            web.post("/sign-out", self._signing_in.sign_out),
            web.get("/static/{name}", self.static),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """Regions across the top, drains below."""
        user = await self._site.gate.admit(request, Permission.READ)
        now, reach = self._site.clock(), self._site.settings.broker.event_lookback
        given = _given(request)
        selection, problem, everything = Selection(), "", []
        try:
            selection = selection_of(request, now)
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
            "not_graceful": sum(shutdown_of(record).grace is ShutdownVerdict.not_graceful for record in found),
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
        fragment = request.query.get("fragment") == "1"
        return await self._page(request, "_live.html" if fragment else "index.html", user=user, **facts)

    async def drain(self, request: web.Request) -> web.Response:
        """One drain's timeline."""
        user = await self._site.gate.admit(request, Permission.READ)
        record = await self._site.record(request.match_info["id"])
        if record is None:
            raise web.HTTPNotFound(reason="the event log tells nothing of this drain")
        told = moments(record, self._site.clock())
        facts = {"story": record, "moments": told, "picture": picture(told), "every": 0}
        fragment = request.query.get("fragment") == "1"
        return await self._page(request, "_drain.html" if fragment else "drain.html", user=user, **facts)

    async def dead(self, request: web.Request) -> web.Response:
        """The dead letters, grouped by their reasons."""
        user = await self._site.gate.admit(request, Permission.READ)
        letters, unreadable = await self._site.letters()
        groups: dict[tuple[str, str], list[Any]] = {}
        for letter in letters:
            groups.setdefault((letter.region, letter.reason), []).append(letter)
        ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
        per_region = Counter(letter.region for letter in letters)
        facts = {
            "groups": ordered,
            "count": len(letters),
            "unreadable": unreadable,
            "cut": [name for name, count in per_region.items() if count >= MAX_MESSAGES],
            "most": MAX_MESSAGES,
        }
        return await self._page(request, "dead.html", user=user, **facts)

    async def replays(self, request: web.Request) -> web.Response:
        """Choose what to replay."""
        user = await self._site.gate.admit(request, Permission.READ)
        given = _given(request)
        facts = {**_planned(None), "problem": "", "reason": "", "rps": "50", "given": given}
        return await self._page(request, "replay.html", user=user, **facts)

    async def replay(self, request: web.Request) -> web.Response:
        """Show the plan, or execute it."""
        user = await self._site.gate.admit(request, Permission.WRITE)
        form = await request.post()
        given: dict[str, Any] = {
            **{name: str(form.get(name, "")) for name in FILTERS},
            "state": [str(one) for one in form.getall("state", []) if one],
            "id": [str(one) for one in form.getall("id", []) if one],
        }
        reason, rps = str(form.get("reason", ""))[:2_000], str(form.get("rps", "50"))
        now = self._site.clock()
        requester = Requester(by=user.name, at=now, why=reason)
        items, problem = None, ""
        try:
            selection = selection_of(request, now, given)
            if selection == Selection():
                raise SelectionError("choose something: a time, a region, an app, a pod, a state")
            a_second = _rate(rps)
            if form.get("action") == "execute":
                begun = await self._site.replays.execute(selection, requester, again=False, a_second=a_second)
                return web.Response(status=303, headers={"Location": f"/replays/{begun.id}"})
            items = await self._site.replays.plan(selection, requester)
        except (SelectionError, BusyError) as error:
            problem = str(error)
        facts = {**_planned(items), "problem": problem, "reason": reason, "rps": rps, "given": given}
        return await self._page(request, "replay.html", user=user, **facts)

    async def execution(self, request: web.Request) -> web.Response:
        """How far a replay has come."""
        user = await self._site.gate.admit(request, Permission.READ)
        execution = self._known(request)
        fragment = request.query.get("fragment") == "1"
        template = "_execution.html" if fragment else "execution.html"
        every = FAST_REFRESH_SECONDS if execution.over_at is None else 0
        facts = {
            "run": execution,
            "course": view_of(execution),
            "Ending": ReplayState,
            "most": SHOWN_ITEMS,
            "every": every,
        }
        return await self._page(request, template, user=user, **facts)

    async def stop(self, request: web.Request) -> web.Response:
        """Send no more."""
        await self._site.gate.admit(request, Permission.WRITE)
        execution = self._known(request)
        self._site.replays.stop(execution)
        return web.Response(status=303, headers={"Location": f"/replays/{execution.id}"})

    def _known(self, request: web.Request) -> Execution:
        execution = self._site.replays.get(request.match_info["id"])
        if execution is None:
            raise web.HTTPNotFound(reason="no such replay; only this process's newest ones are known")
        return execution

    async def sign_in(self, request: web.Request) -> web.Response:
        """Ask for a token."""
        return sign_in_page(self._templates, local_path(request.query.get("next", "/")), "")

    async def static(self, request: web.Request) -> web.Response:
        """The style, the script, the icon; they hold nothing that anybody may not see."""
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=300"}
        return web.Response(body=content(name), content_type=STATIC[name], charset="utf-8", headers=headers)

    async def _page(self, request: web.Request, template: str, *, user: Any, **facts: Any) -> web.Response:
        may_write = await self._site.gate.may_write(request)
        text = self._templates.get_template(template).render(
            user=user, may_write=may_write, path=request.path, now=self._site.clock(), **facts
        )
        return web.Response(text=text, content_type="text/html")


def sign_in_page(templates: Environment, after: str, problem: str) -> web.Response:
    """The page that asks for a token."""
    text = templates.get_template("sign_in.html").render(after=after, problem=problem, user=None, path="/sign-in")
    return web.Response(text=text, content_type="text/html")


def mistake_page(templates: Environment, request: web.Request, status: int, text: str) -> web.Response:
    """The page for a mistake; for somebody unknown, the one that asks for a token."""
    if status == 401 and request.method == "GET":
        return sign_in_page(templates, local_path(request.path_qs), "")
    body = templates.get_template("mistake.html").render(status=status, text=text, user=None, path=request.path)
    return web.Response(text=body, status=status, content_type="text/html")


async def asked_again(templates: Environment, after: str, refusal: RefusedError) -> web.Response:
    """The page that asks for a token once more."""
    return sign_in_page(templates, after, str(refusal))


def _given(request: web.Request) -> dict[str, Any]:
    """The filters as a form shows them."""
    given: dict[str, Any] = {name: request.query.get(name, "") for name in FILTERS}
    given["state"] = [one for text in request.query.getall("state", []) for one in text.split(",") if one]
    given["id"] = [one for one in request.query.getall("id", []) if one]
    return given


def _in_trouble_first(regions: dict[str, RegionState | None]) -> list[tuple[str, RegionState | None]]:
    return sorted(regions.items(), key=lambda one: not (one[1] and one[1].troubles))


def _planned(items: list[ReplayItem] | None) -> dict[str, Any]:
    """A plan, what would be drained first."""
    ranks = {verdict: rank for rank, verdict in enumerate(ReplayAction)}
    ordered = sorted(items or (), key=lambda item: (ranks[item.judged.verdict], item.region, item.pod))
    return {
        "is_planned": items is not None,
        "items": ordered[:SHOWN_ITEMS],
        "left_out": max(0, len(ordered) - SHOWN_ITEMS),
        "counted": Counter(item.judged.verdict for item in ordered),
    }


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 1_000:
        raise SelectionError("drains a second: a number from 0.01 to 1000")
    return rate
