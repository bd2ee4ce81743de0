"""Every page at the widths that people have, with long names and a thousand drains: nothing is cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from controller.domain.events import Outcome, make_event, make_gone_event
from controller.domain.pods import Owner
from controller.domain.shutdown.pod_end import EndCause, PodEnd
from controller.domain.sweep_report import SweepFinding
from tests.page.test_site import SiteApp, a_sweep
from tests.unit.authorizer_app import OPERATOR
from tests.unit.building import a_command, a_pod, a_target, at, terminating

WIDTHS = (390, 768, 1280, 1920)
DRAINS = 1000
LONG = "payment-authorisation-gateway-production"
ZONE = "Pacific/Kiritimati"
"""Half of its day is another one than UTC's, so that dates stand beside the times."""
LEAST_COLUMN = 80
"""Pixels: "not registered" and a date fit into it."""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
COLUMNS = "[...document.querySelectorAll('table.drains thead th')].map(one => one.getBoundingClientRect().width)"


def roll_out(app: SiteApp, revision: str, begin: float, *, pods: int, served: float, left: int = 0) -> None:
    """Pods of a Deployment that went one after the other; the last ``left`` are still there."""
    owner = Owner(api_version="apps/v1", kind="ReplicaSet", name=f"{LONG}-{revision}", uid=revision)
    for number in range(pods):
        name, began = f"{LONG}-{revision}-{number:05d}", begin + 7 * number
        pod = terminating(a_pod(f"uid-{name}", name=name, namespace=f"shop-{LONG}", owner=owner), asked_at=at(began))
        command = a_command(pod, drain_id=f"id-{name}", since_at=at(began), observed_at=at(began))
        app.drains.apply(make_event(command, Outcome.requested, at(began)))
        safe_at = at(began + 12)
        app.drains.apply(
            make_event(command, Outcome.out_of_service, at(began + 0.5), target=a_target(), safe_at=safe_at)
        )
        if number < pods - left:
            app.drains.apply_end(
                PodEnd(
                    cluster="test",
                    drain_ids=(command.drain_id,),
                    namespace=command.pod.namespace,
                    pod=name,
                    uid=command.pod.uid,
                    kind="Deployment",
                    workload=LONG,
                    template=revision,
                    at=at(began + served),
                    ended_at=at(began + served),
                    end_cause=EndCause.no_hook if served < 12 else EndCause.hook,
                    why="it has no preStop hook, so SIGTERM came at once" if served < 12 else "its hook was over",
                )
            )


def a_site() -> SiteApp:
    app = SiteApp()
    roll_out(app, "5d4c8f7b6", -7200, pods=5, served=3)
    roll_out(app, "7c9d8f6b5", -3600, pods=70, served=14)
    roll_out(app, "9f8e7d6c5", 20, pods=5, served=14, left=2)
    for number in range(DRAINS):
        pod = a_pod(f"uid-{number}", name=f"{LONG}-7c9d8f6b5-{number:05d}", namespace=f"shop-{LONG}")
        command = a_command(terminating(pod), drain_id=f"long-{number}")
        target = a_target(app=f"{LONG}-service".upper(), id=f"{LONG}-7c9d8f6b5-{number:05d}:{LONG}:8080")
        app.drains.apply(make_event(command, Outcome.requested, at(-number)))
        app.drains.apply(make_event(command, Outcome.out_of_service, at(1), target=target, safe_at=at(95)))
        if number % 2:
            app.drains.apply(make_gone_event(command, at(20), at(21), proved=True))
    app.sweeps.apply(a_sweep("eu", findings=tuple(left_behind(number) for number in range(200))))
    app.sweeps.apply(a_sweep("us", incomplete=f"http://{LONG}.example.com:8761/eureka: unreachable", findings=()))
    return app


def left_behind(number: int) -> SweepFinding:
    return SweepFinding(
        app=f"{LONG}-service".upper(),
        instance_id=f"{LONG}-7c9d8f6b5-{number:05d}:{LONG}:8080",
        ip=f"fd00:10:244::{number:x}",
        status="OUT_OF_SERVICE",
        namespace=f"shop-{LONG}",
        pod=f"{LONG}-7c9d8f6b5-{number:05d}",
        evidence=f"event log: shop-{LONG}/{LONG}-7c9d8f6b5-{number:05d} out_of_service",
        doubt="it heartbeats: a process without a pod" if number > 150 else "",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site() -> AsyncIterator[str]:
    """The address of the pages."""
    async with TestServer(a_site().application) as server:
        yield str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def signed_in(browser: Browser, site: str, width: int) -> AsyncIterator[Page]:
    viewport = {"width": width, "height": 900}
    context = await browser.new_context(viewport=viewport, timezone_id=ZONE, locale="en-GB", base_url=site)  # type: ignore[arg-type]
    try:
        page = await context.new_page()
        await page.goto("/sign-in")
        await page.fill("input[name=token]", OPERATOR)
        await page.click("main button")
        yield page
    finally:
        await context.close()


@pytest.mark.parametrize("width", WIDTHS)
async def test_nothing_is_wider_than_the_window_and_no_column_too_narrow(
    browser: Browser, site: str, width: int
) -> None:
    async with signed_in(browser, site, width) as page:
        for path in (
            "/",
            "/rollouts",
            "/drains/long-1",
            "/drains/id-failed",
            "/dead",
            "/sweep",
            "/replays?pod=shop/failed",
        ):
            await page.goto(path)
            assert await page.evaluate(WIDER) <= 0, path
        await page.goto("/")
        assert await page.locator("tr[data-key]").count() == 200
        columns = await page.evaluate(COLUMNS)
        assert len(columns) == 7
        if width > 768:  # else each row is a card
            assert min(columns) >= LEAST_COLUMN
