"""Everything that ``ops`` serves to people and programs."""

from __future__ import annotations

from aiohttp import web
from jinja2 import Environment

from controller.ops.auth.session import SessionPages
from controller.ops.web.api import Api
from controller.ops.web.pages import Pages
from controller.ops.web.rendering import Renderer
from controller.ops.web.rollout_pages import RolloutPages
from controller.ops.web.site import Site


def routes_of(site: Site, session: SessionPages, templates: Environment) -> list[web.RouteDef]:
    """Return every route."""
    renderer = Renderer(templates, site.authorizer, site.clock)
    parts = (Pages(site, session, renderer), RolloutPages(site, renderer), Api(site))
    return [route for part in parts for route in part.routes()]
