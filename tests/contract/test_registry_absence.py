"""What is no registry, or shows only a part of one, says of nothing that it is not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from loguru import logger

from controller.domain.diagnostics import Severity
from controller.domain.instances import Condition
from controller.errors import RegistryError
from controller.eureka.node import NOBODY
from controller.eureka.region_checks import inspect
from tests.contract.regions import adapter, clock, fresh_app
from tests.contract.silly_server import EMPTY_LIST, Answer, SillyServer, empty_registry, other_application, saying
from tests.contract.test_registry import conditions
from tests.stack import parts
from tests.stack.eureka_nodes import API_PATH, EurekaNodes
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until
from tests.unit.building import a_pod

PROXY = saying("default backend - 404", status=404, content_type="text/plain")


def root(url: str) -> str:
    """A node's URL without its path, as it is written by mistake."""
    return url.removesuffix(API_PATH)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged for somebody to read."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(f"{message} {message.record['extra']}"), level="WARNING")
    yield lines
    logger.remove(sink)


@pytest_asyncio.fixture(loop_scope="session")
async def without_changes(report_progress: ReportProgress, tmp_path: Path) -> AsyncIterator[EurekaNodes]:
    """One node that keeps no list of recent changes."""
    program = await parts.eureka_node(report_progress)
    nodes = EurekaNodes(tmp_path, program, count=1, settings={"eureka.server.disable-delta": "true"})
    try:
        await nodes.start()
        yield nodes
    finally:
        await nodes.close()


async def test_a_real_node_named_without_its_path_shows_nothing_absent(
    eureka_pair: EurekaNodes, warnings: list[str]
) -> None:
    async with adapter(*(root(url) for url in eureka_pair.urls)) as region:
        app = fresh_app()
        readings = await region.read(app, "id")
        assert conditions(readings) == [Condition.failing] * 2
        for refused in (
            await region.take_out(app, "id", readings),
            await region.restore(app, "id", readings),
            await region.remove(app, "id", [reading.node for reading in readings]),
        ):
            assert conditions(refused) == [Condition.failing] * 2
        for question in (region.find(a_pod(), not_before=clock()), region.look_up("id"), region.everything()):
            with pytest.raises(RegistryError, match="/eureka"):
                await question
        refreshing = asyncio.create_task(region.index.keep_fresh())
        await until(lambda: warnings, "a warning")
        refreshing.cancel()
        assert "such as http://host:8761/eureka" in warnings[0]
        [check] = [check for check in await inspect("eu", region, clock) if root(eureka_pair.urls[0]) in check.what]
    assert check.severity is Severity.wrong
    assert check.fix.startswith(f"write {root(eureka_pair.urls[0])}/eureka,")


async def test_a_real_nodes_absence_is_believed_when_asked_by_many(eureka_pair: EurekaNodes) -> None:
    async with adapter(*eureka_pair.urls) as region:
        readings = await asyncio.gather(*(region.read(fresh_app(), "id") for _ in range(50)))
    assert {one.condition for some in readings for one in some} == {Condition.absent}


@pytest.mark.parametrize("not_found", [PROXY, other_application, saying("", status=404)], ids=["proxy", "app", "empty"])
async def test_who_answers_404_to_lists_too_has_nothing_to_say_of_an_instance(not_found: Answer) -> None:
    async with SillyServer(not_found) as server, adapter(server.url) as region:
        (reading,) = await region.read("APP", "id")
        assert reading.condition is Condition.failing
        assert conditions(await region.take_out("APP", "id", (reading,))) == [Condition.failing]
        assert conditions(await region.restore("APP", "id", (reading,))) == [Condition.failing]
        assert conditions(await region.remove("APP", "id", [reading.node])) == [Condition.failing]
        with pytest.raises(RegistryError):
            await region.look_up("id")


async def test_a_proxy_that_loses_its_registry_for_a_while_shows_nothing_absent() -> None:
    async def losing(request: web.Request) -> web.StreamResponse:
        return await (empty_registry if "/apps/" not in request.path else PROXY)(request)

    async with SillyServer(losing) as server, adapter(server.url) as region:
        await region.find(a_pod(), not_before=clock())
        assert conditions(await region.read("APP", "id")) == [Condition.failing]


async def test_a_node_that_shows_no_list_yet_shows_nothing_absent() -> None:
    async def starting(request: web.Request) -> web.StreamResponse:
        is_list = request.path.endswith(("/apps", f"/vips/{NOBODY}"))
        return web.Response(status=403 if is_list else 404)

    async with SillyServer(starting) as server, adapter(server.url) as region:
        assert conditions(await region.read("APP", "id")) == [Condition.failing]


async def test_a_list_proves_a_registry_for_many_readers_and_not_for_long() -> None:
    async with SillyServer() as server, adapter(server.url) as region:
        await asyncio.gather(*(region.read("APP", f"id-{number}") for number in range(20)))
        assert server.requests.count(f"GET /eureka/vips/{NOBODY}") == 1


ENTRY = {"app": "APP", "instanceId": "id", "ipAddr": "10.1.0.7", "hostName": "h"}
WHOLE = json.dumps({"applications": {"apps__hashcode": "UP_1_", "application": [{"name": "APP", "instance": [ENTRY]}]}})


@pytest.mark.parametrize(
    "answer",
    [
        saying('{"applications": {}}'),
        saying("{}"),
        saying(WHOLE[: len(WHOLE) // 2]),
        saying(WHOLE[:-3]),
        saying(EMPTY_LIST, status=404),
        saying("", status=204),
    ],
    ids=["no application", "no applications", "half", "almost whole", "404", "204"],
)
async def test_a_list_that_is_cut_short_or_none_is_reported_as_missing(answer: Answer) -> None:
    async with SillyServer(answer) as bad, SillyServer(saying(WHOLE)) as good:
        async with adapter(bad.url, good.url) as region:
            found = await region.find(a_pod(), not_before=clock())
            assert [one.id for one in found.candidates] == ["id"]
            assert [bad.url in str(reason) for reason in found.missing] == [True]
        async with adapter(bad.url) as region:
            with pytest.raises(RegistryError):
                await region.find(a_pod(), not_before=clock())


async def test_a_real_node_without_a_list_of_changes_is_surveyed_all_the_same(without_changes: EurekaNodes) -> None:
    await without_changes.nodes[0].registry.register(fresh_app(), "id", ip="10.1.1.1")
    async with adapter(*without_changes.urls) as region:

        async def counted() -> bool:
            (state,) = await region.survey()
            assert state.reachable, state.detail
            return state.counted == "UP_1_"

        await until(counted, "its fingerprint", timeout=45, interval=1)


async def test_a_list_of_changes_that_is_not_there_is_asked_for_once() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/delta"):
            return web.Response(status=403)
        return await empty_registry(request)

    async with SillyServer(answer) as server, adapter(server.url) as region:
        for _ in range(3):
            (state,) = await region.survey()
            assert state.reachable
        assert server.requests == ["GET /eureka/apps/delta", *["GET /eureka/apps"] * 3]


async def test_a_node_that_denies_every_list_is_not_reachable() -> None:
    async with SillyServer(saying("", status=403)) as server, adapter(server.url) as region:
        for _ in range(2):
            (state,) = await region.survey()
            assert not state.reachable
            assert "403" in state.detail
        assert server.requests.count("GET /eureka/apps/delta") == 2, "it may only be starting"
