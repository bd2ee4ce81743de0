"""A page from its template: whole, or the fragment of it that the script asks for to keep it fresh."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from jinja2 import Environment

from controller.flows.ports import Clock
from controller.ops.auth.authorizer import Authorizer
from controller.ops.auth.decision_cache import User

REFRESH_SECONDS = 10
"""Seconds after which the script asks for the regions again: they change without an event."""
FAST_REFRESH_SECONDS = 2
"""While the log is being read, or a replay runs."""


class Renderer:
    """Renders for whoever asks."""

    def __init__(self, templates: Environment, authorizer: Authorizer, clock: Clock) -> None:
        self.templates = templates
        self._authorizer = authorizer
        self._clock = clock

    async def page(
        self, request: web.Request, whole: str, fragment: str = "", *, user: User, **facts: Any
    ) -> web.Response:
        """Answer with a page; ``fragment`` is the template of the part that changes."""
        template = fragment if fragment and request.query.get("fragment") == "1" else whole
        may_write = await self._authorizer.may_write(request)
        text = self.templates.get_template(template).render(
            user=user, may_write=may_write, path=request.path, now=self._clock(), **facts
        )
        return web.Response(text=text, content_type="text/html")
