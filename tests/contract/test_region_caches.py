"""How old the response caches of real Eureka nodes may be by their settings, and servers that answer otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from loguru import logger

from controller.domain.diagnostics import Check, Severity
from controller.errors import RegistryError
from controller.eureka.caches import CONFIGPROPS_PATH, read_age
from controller.eureka.region_checks import inspect
from controller.eureka.transport import DeniedError, UnreachableError
from tests.contract.regions import adapter, clock
from tests.contract.silly_server import EMPTY_LIST, Answer, SillyServer, endless, saying, slow
from tests.stack import parts
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.prerequisites import ReportProgress
from tests.stack.waiting import until

SECRET = "hidden-from-all"
EXPOSED = {
    "management.endpoints.web.exposure.include": "configprops",
    "eureka.server.my-url": f"http://drain:{SECRET}@eureka.example/eureka/",
}
SHOWN = {**EXPOSED, "management.endpoint.configprops.show-values": "always"}
SERVERS: dict[str, dict[str, str]] = {
    "stock": {},
    "masked": EXPOSED,
    "its own interval": {**SHOWN, "eureka.server.response-cache-update-interval-ms": "7000"},
    "cache switched off": {**SHOWN, "eureka.server.use-read-only-response-cache": "false"},
}
NOT_TOLD = (
    "its age is not reported (/actuator/configprops is not exposed, or its values are masked): "
    "window.server_cache counts"
)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every line of the log, however unimportant, with all that is bound to it."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(f"{message} {message.record['extra']}"), level=0, diagnose=True)
    yield lines
    logger.remove(sink)


@asynccontextmanager
async def running(
    report_progress: ReportProgress, folder: Path, settings: dict[str, str]
) -> AsyncIterator[EurekaNodes]:
    """One node with these settings."""
    program = await parts.eureka_node(report_progress)
    nodes = EurekaNodes(folder, program, count=1, settings=settings)
    try:
        await nodes.start()
        yield nodes
    finally:
        await nodes.close()


def the(checks: list[Check], url: str) -> Check:
    [found] = [check for check in checks if check.what == f"response cache of {url}"]
    return found


@pytest.mark.parametrize(
    ("server", "age", "found"),
    [
        ("stock", None, NOT_TOLD),
        ("masked", None, NOT_TOLD),
        ("its own interval", 7, "7 s, as the node reports it"),
        ("cache switched off", 0, "not used, as the node reports it"),
    ],
)
async def test_a_real_servers_cache_age_is_read_and_nothing_else_is_kept(
    server: str, age: float | None, found: str, report_progress: ReportProgress, tmp_path: Path, logged: list[str]
) -> None:
    async with running(report_progress, tmp_path, SERVERS[server]) as nodes, adapter(*nodes.urls) as region:
        [node] = region.nodes.values()
        body = await node.ask_server(CONFIGPROPS_PATH)
        assert (body is None) == (server == "stock")
        assert (SECRET in str(body)) == ("show-values" in str(SERVERS[server])), "there is something to hide"
        shown = await read_age(node)
        assert (None if shown is None else shown.total_seconds()) == age
        check = the(await inspect("eu", region, clock), nodes.urls[0])
        assert (check.severity, check.found) == (Severity.ok, found)
        assert SECRET not in f"{check}"
        asking = asyncio.create_task(region.caches.keep_fresh())
        await until(lambda: region.cache_age == shown, "the age", timeout=15)
        asking.cancel()
    assert SECRET not in "\n".join(logged)


def page(milliseconds: int) -> str:
    properties = {"responseCacheUpdateIntervalMs": milliseconds, "useReadOnlyResponseCache": True, "myUrl": SECRET}
    return json.dumps({"contexts": {"eureka": {"beans": {"server": {"properties": properties}}}}})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (saying("", status=401), DeniedError),
        (saying("", status=403), DeniedError),
        (saying("", status=302, Location="http://127.0.0.1:1/login"), RegistryError),
        (saying(f"<html>{SECRET}</html>", content_type="text/html"), RegistryError),
        (saying(f'{{"contexts": "{SECRET}"}}'), RegistryError),
        (saying("", status=500), RegistryError),
        (endless, RegistryError),
        (slow, UnreachableError),
    ],
    ids=["401", "403", "redirect", "HTML", "nonsense", "500", "endless", "slow"],
)
async def test_a_server_that_answers_otherwise_has_no_age_and_holds_nothing_up(
    answer: Answer, error: type[Exception], logged: list[str]
) -> None:
    async with SillyServer(answer) as server, adapter(server.url, timeout="300ms") as region:
        [node] = region.nodes.values()
        with pytest.raises(error) as shown:
            await read_age(node)
        assert SECRET not in f"{shown.value!r}"
        asking = asyncio.create_task(region.caches.keep_fresh())
        await until(lambda: len(server.requests) >= 2, "another question", timeout=15)
        await until(lambda: any("cache's age is not reported" in line for line in logged), "its answer", timeout=15)
        assert region.cache_age is None
        asking.cancel()
    assert SECRET not in "\n".join(logged)


async def test_doctor_reports_a_server_without_that_page_without_a_warning() -> None:
    async def forbids(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/apps"):
            return web.Response(text=EMPTY_LIST, content_type="application/json")
        return web.Response(status=401 if request.path == CONFIGPROPS_PATH else 404)

    async with SillyServer(forbids) as server, adapter(server.url) as region:
        check = the(await inspect("eu", region, clock), server.url)
    assert check.severity is Severity.ok
    assert check.found.startswith("its age is not reported (HTTP 401")
    assert check.found.endswith("window.server_cache counts")


def root(server: SillyServer) -> str:
    return server.url.removesuffix("/eureka")


@pytest.mark.parametrize(
    ("base", "asked"),
    [
        ("/eureka", CONFIGPROPS_PATH),
        ("/eureka/", CONFIGPROPS_PATH),
        ("/eureka/v2", CONFIGPROPS_PATH),
        ("/registry/eureka", f"/registry{CONFIGPROPS_PATH}"),
        ("", CONFIGPROPS_PATH),
    ],
)
async def test_it_is_asked_beside_the_registry_wherever_that_stands(base: str, asked: str) -> None:
    async with SillyServer(saying(page(7_000))) as server, adapter(f"{root(server)}{base}") as region:
        [node] = region.nodes.values()
        age = await read_age(node)
    assert age is not None
    assert age.total_seconds() == 7
    assert server.requests == [f"GET {asked}"]


async def test_a_node_behind_basic_auth_gets_its_credentials_there_too() -> None:
    async with (
        SillyServer(saying(page(7_000))) as server,
        adapter(server.url, username="drain", password=SECRET) as region,
    ):
        await read_age(next(iter(region.nodes.values())))
    assert server.authorizations == ["Basic ZHJhaW46aGlkZGVuLWZyb20tYWxs"]


async def test_the_oldest_cache_of_a_region_counts_once_every_node_answered() -> None:
    async with (
        SillyServer(saying(page(7_000))) as one,
        SillyServer(saying(page(9_000))) as two,
        adapter(one.url, two.url) as region,
    ):
        assert region.cache_age is None
        asking = asyncio.create_task(region.caches.keep_fresh())
        await until(lambda: region.cache_age is not None, "both ages", timeout=15)
        asking.cancel()
        age = region.cache_age
    assert age is not None
    assert age.total_seconds() == 9
