"""The pages. Complete without JavaScript; with it they stay fresh by fetching a fragment of themselves."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from controller.domain.events import Outcome
from controller.domain.replay import GOOD_ENDS, Asker, Verdict
from controller.domain.selection import Selection, SelectionError
from controller.domain.timeline import moments, short_node
from controller.ops.gate import Access
from controller.ops.refusals import RefusedError
from controller.ops.signing_in import SigningIn, local_path
from controller.ops.tables import printable, span
from controller.ops.web.picture import picture
from controller.ops.web.replays import BusyError, Execution
from controller.ops.web.site import FILTERS, Site, selection_of

SHOWN = 200
"""Drains of one page; more are a matter of filters."""
STATIC = {"style.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
PACKAGE = "controller.ops.web"
MARKS = {
    Outcome.requested: "…",
    Outcome.out_of_service: "◐",
    Outcome.removed: "✓",
    Outcome.already_gone: "✓",
    Outcome.not_registered: "–",
    Outcome.refused: "!",
    Outcome.superseded: "→",
    Outcome.restored: "↺",
    Outcome.failed: "✗",
}
"""Beside its name, a state has a sign and a colour of its own: none of the three is needed to read it."""


def environment() -> Environment:
    """The templates. Everything is escaped; a name that is not given is a mistake."""
    made = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"span": span, "time": _time, "utc": _utc, "plain": printable, "node": short_node}
    made.globals |= {"marks": MARKS, "outcomes": list(Outcome), "Verdict": Verdict, "good_ends": GOOD_ENDS}
    return made


def _time(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _utc(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


class Pages:
    """The routes that give HTML."""

    def __init__(self, site: Site, signing_in: SigningIn, templates: Environment) -> None:
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
        user = await self._site.gate.admit(request, Access.READ)
        now = self._site.clock()
        problem, found = "", []
        try:
            found = await self._site.select(selection_of(request, now))
        except SelectionError as error:
            problem = str(error)
        facts = {
            "regions": [self._site.overview.states[name] for name in sorted(self._site.overview.states)],
            "drains": found[::-1][:SHOWN],
            "left_out": max(0, len(found) - SHOWN),
            "counts": Counter(story.state for story in found),
            "problem": problem,
            "is_read": self._site.is_read(),
            "since": now - self._site.settings.broker.events_read,
            **_filters(request),
        }
        fragment = request.query.get("fragment") == "1"
        return await self._page(request, "_live.html" if fragment else "index.html", user=user, **facts)

    async def drain(self, request: web.Request) -> web.Response:
        """One drain's timeline."""
        user = await self._site.gate.admit(request, Access.READ)
        story = await self._site.story(request.match_info["id"])
        if story is None:
            raise web.HTTPNotFound(reason="the event log tells nothing of this drain")
        told = moments(story, self._site.clock())
        facts = {"story": story, "moments": told, "picture": picture(told)}
        fragment = request.query.get("fragment") == "1"
        return await self._page(request, "_drain.html" if fragment else "drain.html", user=user, **facts)

    async def dead(self, request: web.Request) -> web.Response:
        """The dead letters, grouped by their reasons."""
        user = await self._site.gate.admit(request, Access.READ)
        letters, unreadable = await self._site.letters()
        groups: dict[tuple[str, str], list[Any]] = {}
        for letter in letters:
            groups.setdefault((letter.region, letter.reason), []).append(letter)
        ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
        return await self._page(request, "dead.html", user=user, groups=ordered, unreadable=unreadable)

    async def replays(self, request: web.Request) -> web.Response:
        """Choose what to replay."""
        user = await self._site.gate.admit(request, Access.READ)
        facts = {"items": None, "problem": "", "reason": "", "rps": "50", **_filters(request)}
        return await self._page(request, "replay.html", user=user, **facts)

    async def replay(self, request: web.Request) -> web.Response:
        """Show the plan, or execute it."""
        user = await self._site.gate.admit(request, Access.WRITE)
        form = await request.post()
        given = {name: str(form.get(name, "")) for name in FILTERS}
        chosen = {
            **given,
            "state": [str(one) for one in form.getall("state", []) if one],
            "id": [str(one) for one in form.getall("id", []) if one],
        }
        reason, rps = str(form.get("reason", ""))[:2_000], str(form.get("rps", "50"))
        now = self._site.clock()
        asker = Asker(by=user.name, at=now, why=reason)
        items, problem = None, ""
        try:
            selection = selection_of(request, now, chosen)
            if selection == Selection():
                raise SelectionError("choose something: a time, a region, an app, a pod, a state")
            a_second = _rate(rps)
            if form.get("action") == "execute":
                begun = await self._site.replays.execute(selection, asker, again=False, a_second=a_second)
                return web.Response(status=303, headers={"Location": f"/replays/{begun.id}"})
            items = await self._site.replays.plan(selection, asker)
        except (SelectionError, BusyError) as error:
            problem = str(error)
        facts = {
            "items": items,
            "problem": problem,
            "reason": reason,
            "rps": rps,
            "counted": Counter(item.judged.verdict for item in items or ()),
            **_shown({name: chosen[name] for name in (*FILTERS, "state", "id")}),
        }
        return await self._page(request, "replay.html", user=user, **facts)

    async def execution(self, request: web.Request) -> web.Response:
        """How far a replay has come."""
        user = await self._site.gate.admit(request, Access.READ)
        execution = self._known(request)
        fragment = request.query.get("fragment") == "1"
        template = "_execution.html" if fragment else "execution.html"
        return await self._page(request, template, user=user, run=execution)

    async def stop(self, request: web.Request) -> web.Response:
        """Send no more."""
        await self._site.gate.admit(request, Access.WRITE)
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
        body = (files(PACKAGE) / "static" / name).read_bytes()
        headers = {"Cache-Control": "public, max-age=300"}
        return web.Response(body=body, content_type=STATIC[name], charset="utf-8", headers=headers)

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


def _filters(request: web.Request) -> dict[str, Any]:
    given: dict[str, Any] = {name: request.query.get(name, "") for name in FILTERS}
    given["state"] = [one for text in request.query.getall("state", []) for one in text.split(",") if one]
    given["id"] = [one for one in request.query.getall("id", []) if one]
    return _shown(given)


def _shown(given: dict[str, Any]) -> dict[str, Any]:
    """The filters as a form shows them, and as a query that a link carries on."""
    pairs = [(name, one) for name, value in given.items() for one in (value if isinstance(value, list) else [value])]
    query = urlencode([(name, value) for name, value in pairs if value])
    return {"given": given, "query": query}


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 1_000:
        raise SelectionError("drains a second: a number from 0.01 to 1000")
    return rate
