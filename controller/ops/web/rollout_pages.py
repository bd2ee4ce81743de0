"""Rollouts as people look at them: a page of pictures, and each picture as a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from aiohttp import web

from controller.domain.rollouts import Rollout, rollouts_of
from controller.domain.selection import ROLLOUT_FILTERS, Selection, SelectionError
from controller.ops.auth.authorizer import Permission
from controller.ops.web.drain_groups import query_of
from controller.ops.web.markup import picture_style
from controller.ops.web.queries import RolloutsQuery, given_in, read, selection_of
from controller.ops.web.rendering import REFRESH_SECONDS, Renderer
from controller.ops.web.rollout_chart import RolloutPicture, rollout_picture, trends_of
from controller.ops.web.site import Site

MAX_ROLLOUTS = 20
"""Rollouts that the page shows; filters show others."""

_NOT_IN_A_NAME = re.compile(r"[^0-9A-Za-z.-]+")


class RolloutPages:
    """The routes."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._render = renderer

    def routes(self) -> list[web.RouteDef]:
        """Every route."""
        return [web.get("/rollouts", self.rollouts), web.get("/rollouts/{id}.svg", self.picture)]

    async def rollouts(self, request: web.Request) -> web.Response:
        """Show rollouts as pictures, the newest first."""
        user = await self._site.authorizer.authorize(request, Permission.READ)
        now = self._site.clock()
        given = given_in(request.query, ROLLOUT_FILTERS)
        selection, problem, found = Selection(), "", []
        try:
            selection = selection_of(read(RolloutsQuery, given), now)
            found = rollouts_of(await self._site.select(selection))
        except SelectionError as error:
            problem = str(error)
        pictures = await self._pictures(found[::-1][:MAX_ROLLOUTS], found, now)
        facts = {
            "pictures": pictures,
            "query": query_of(given),
            "trends": trends_of(found),
            "count": len(found),
            "left_out": len(found) - len(pictures),
            "problem": problem,
            "is_read": self._site.is_read(),
            "since": selection.since or now - self._site.settings.broker.event_lookback,
            "until": selection.until,
            "is_filtered": replace(selection, since=None, until=None) != Selection(),
            "given": given,
            "filters": ROLLOUT_FILTERS,
            "every": REFRESH_SECONDS,
        }
        return await self._render.page(request, "rollouts.html", "_rollouts.html", user=user, **facts)

    async def picture(self, request: web.Request) -> web.Response:
        """Give one rollout's picture as a file: the one with this drain, of those that the page's filters choose."""
        await self._site.authorizer.authorize(request, Permission.READ)
        now, drain_id = self._site.clock(), request.match_info["id"]
        selection = selection_of(read(RolloutsQuery, given_in(request.query, ROLLOUT_FILTERS)), now)
        every = rollouts_of(await self._site.select(selection))
        found = next((one for one in every if any(record.drain_id == drain_id for record in one.drains)), None)
        if found is None:
            raise web.HTTPNotFound(reason="no rollout with this drain: does since reach back to it?")
        template = self._render.templates.get_template("rollout.svg")
        [picture] = await self._pictures([found], every, now)
        text = template.render(picture=picture, style=picture_style(), now=now)
        name = f"{_NOT_IN_A_NAME.sub('-', found.workload)[:80]}-{found.began_at:%Y%m%dT%H%M%SZ}.svg"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(text=text, content_type="image/svg+xml", headers=headers)

    async def _pictures(
        self, shown: Sequence[Rollout], every: Sequence[Rollout], now: datetime
    ) -> list[RolloutPicture]:
        """Draw rollouts. Only a workload's newest has what came up: beside an older one it may have gone since."""
        newest = {id(one) for one in {(one.cluster, one.name): one for one in every}.values()}

        async def draw(one: Rollout) -> RolloutPicture:
            return rollout_picture(one, now, await self._site.arrivals(one) if id(one) in newest else ())

        return await asyncio.gather(*map(draw, shown))
