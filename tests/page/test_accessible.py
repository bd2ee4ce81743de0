"""What axe-core finds in each page, light and dark, narrow and wide: nothing that keeps anybody out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from controller.domain.events import Outcome, make_event
from controller.domain.replay_plan import Requester, requested
from controller.domain.requests import request_id
from tests.page.test_site import a_sweep, command_of, site_app
from tests.page.test_widths import roll_out
from tests.unit.authorizer_app import OPERATOR
from tests.unit.building import at

ASKED = Requester(by="ann", at=at(50), why="INC-4711")
AXE = files("axe_playwright_python").joinpath("axe.min.js")
PAGES = {
    "drains": "/",
    "one drain": "/drains/id-failed",
    "rollouts": "/rollouts?since=2h",
    "dead letters": "/dead",
    "sweep": "/sweep",
    "replays": "/replays",
    "asked for": f"/requests/{request_id(ASKED)}",
    "nothing found": "/?app=nosuch",
    "no such drain": "/drains/nosuch",
    "a filter that cannot be followed": "/?since=soon",
    "sign in": "/sign-in",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served() -> AsyncIterator[str]:
    """The address of the pages, with a rollout that was short and one that is under way."""
    async with site_app() as app:
        roll_out(app, "5d4c8f7b6", -3_600, pods=3, served=3)
        roll_out(app, "9f8e7d6c5", 20, pods=3, served=14, left=1)
        app.sweeps.apply(a_sweep("eu"))
        app.sweeps.apply(a_sweep("us", incomplete="no answer in time"))
        app.drains.apply(make_event(requested(command_of("failed"), ASKED), Outcome.requested, ASKED.at))
        server = app.client.server
        assert isinstance(server, TestServer)
        yield str(server.make_url("/")).rstrip("/")


async def violations_of(page: Page) -> list[str]:
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run()")
    assert found["passes"], "axe has looked at something"
    return [f"{one['impact']}: {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]


async def test_a_mistake_would_be_found(served: str, browser: Browser) -> None:
    page = await browser.new_page(extra_http_headers={"Authorization": f"Bearer {OPERATOR}"})
    await page.goto(served)
    await page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert await violations_of(page) == ["critical: image-alt: <img>"]
    await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
async def test_nothing_keeps_anybody_out(served: str, browser: Browser, name: str, width: int, scheme: str) -> None:
    headers = {} if name == "sign in" else {"Authorization": f"Bearer {OPERATOR}"}
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        extra_http_headers=headers,
    )
    try:
        page = await context.new_page()
        await page.goto(served + PAGES[name])
        assert await violations_of(page) == []
    finally:
        await context.close()
