"""Doctor's checks of real Eureka nodes, and of servers that answer otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from controller.domain.diagnostics import Check, Severity
from controller.eureka.region_checks import inspect
from tests.contract.regions import adapter, clock, fresh_app
from tests.contract.silly_server import EMPTY_LIST, Answer, SillyServer, empty_registry, other_application, saying
from tests.stack import parts
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until


async def look(*urls: str, **settings: object) -> list[Check]:
    async with adapter(*urls, **settings) as region:
        return await inspect("eu", region, clock)


def the(checks: list[Check], what: str) -> Check:
    [found] = [check for check in checks if check.what == what]
    return found


def wrong(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.severity is Severity.wrong]


async def test_a_pair_in_order_is_found_in_order_and_stays_as_it_was(eureka_pair: EurekaNodes) -> None:
    app = fresh_app()
    # At one node, so that no late copy from the other changes it while doctor looks.
    await eureka_pair.nodes[0].registry.register(app, "one", ip="10.78.0.1")

    async def copied() -> bool:
        return None not in await eureka_pair.read(app, "one")

    await until(copied, "the registration at both nodes")
    await asyncio.sleep(2)  # a node that has just started may get a second copy
    before = await eureka_pair.read(app, "one")
    checks = await look(*eureka_pair.urls)
    for url in eureka_pair.urls:
        for what in (f"reading {url}", f"writing to {url}", f"clock of {url}", f"peers of {url}"):
            # A young pair does not know itself for registered yet: advice.
            assert the(checks, what).severity in (Severity.ok, Severity.advice), the(checks, what)
    assert not [check for check in checks if check.what == "every node listed"]
    assert await eureka_pair.read(app, "one") == before


async def test_a_node_that_the_settings_do_not_name_is_reported(eureka_pair: EurekaNodes) -> None:
    checks = await look(eureka_pair.urls[0])
    check = the(checks, "every node listed")
    assert check.severity is Severity.advice
    assert eureka_pair.urls[1].partition("://")[2].partition("/")[0] in check.found


def holding(**statuses: str) -> Answer:
    """A node with these instances of one app, in its list and one by one."""

    def entry(name: str) -> dict[str, object]:
        lease = {"renewalIntervalInSecs": 30, "registrationTimestamp": 1, "lastRenewalTimestamp": 1}
        return {"app": "SHOP", "instanceId": name, "ipAddr": "10.0.0.1", "status": statuses[name], "leaseInfo": lease}

    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if request.method == "GET" and request.path.endswith("/apps"):
            everything = {"application": [{"name": "SHOP", "instance": [entry(name) for name in statuses]}]}
            return web.json_response({"applications": everything})
        if request.method == "GET" and name in statuses:
            return web.json_response({"instance": entry(name)})
        return await empty_registry(request)

    return answer


async def test_a_lasting_difference_of_nodes_is_reported_with_each_nodes_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.eureka.region_checks.RECHECK_INTERVAL", 0.05)
    async with (
        SillyServer(holding(same="UP", split="UP", lonely="UP")) as one,
        SillyServer(holding(same="UP", split="OUT_OF_SERVICE")) as two,
    ):
        check = the(await look(one.url, two.url), "nodes agree")
    assert check.severity is Severity.wrong
    assert check.found.startswith("2 instances differ, such as SHOP lonely")
    assert f"UP at {one.url}, absent at {two.url}" in check.found


async def test_what_only_the_caches_show_differently_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.eureka.region_checks.RECHECK_INTERVAL", 0.05)
    fresh, answers = holding(one="OUT_OF_SERVICE"), holding(one="UP")

    async def stale_list(request: web.Request) -> web.StreamResponse:
        return await (answers if request.path.endswith("/apps") else fresh)(request)

    async with SillyServer(fresh) as one, SillyServer(stale_list) as two:
        check = the(await look(one.url, two.url), "nodes agree")
    assert (check.severity, check.found) == (Severity.ok, "1 were just being copied")


@pytest.fixture
async def selfish(report_progress: ReportProgress, tmp_path: Path) -> AsyncIterator[EurekaNodes]:
    """One node that does not know its own URL for its own."""
    program = await parts.eureka_node(report_progress)
    nodes = EurekaNodes(tmp_path, program, count=1, settings={"eureka.instance.hostname": "somewhere.else"})
    try:
        await nodes.start()
        yield nodes
    finally:
        await nodes.close()


async def test_a_node_that_counts_itself_among_its_peers_is_reported(selfish: EurekaNodes) -> None:
    check = the(await look(*selfish.urls), f"peers of {selfish.urls[0]}")
    assert check.severity is Severity.wrong
    assert "counts itself" in check.found


def reads_only(status: int) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(text=EMPTY_LIST, content_type="application/json")
        return web.Response(status=status)

    return answer


async def test_csrf_protection_is_reported_as_such(eureka_pair: EurekaNodes) -> None:
    async with SillyServer(reads_only(403)) as server:
        [check] = wrong(await look(server.url))
    assert check.what == f"writing to {server.url}"
    assert "CSRF" in check.fix


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (saying("", status=401), "username and password"),
        (saying("", status=403), "username and password"),
        (saying("", status=406), "Accept-Encoding"),
        (saying("<html>", content_type="text/html"), "/eureka"),
        (saying("", status=302, Location="http://127.0.0.1:1/"), "/eureka"),
        (other_application, "/eureka"),
        (saying("", status=404), "/eureka"),
    ],
    ids=["401", "403", "406", "HTML", "redirect", "another application", "404"],
)
async def test_a_node_that_does_not_show_its_registry_is_reported_with_its_fix(answer: Answer, fix: str) -> None:
    async with SillyServer(answer) as server:
        [check] = await look(server.url, username="drain", password="hidden-from-all")
    assert check.severity is Severity.wrong
    assert fix in check.fix
    assert "hidden-from-all" not in f"{check}"


async def test_a_node_that_is_not_there_is_reported() -> None:
    [check] = await look("http://127.0.0.1:1/eureka")
    assert check.severity is Severity.wrong
    assert "Connect call failed" in check.found
