"""The HTTP port: what a connection may hold, who is cut for whom, and where the metrics are."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from controller.ops.metrics import Metrics
from controller.ops.port import connections, http_server
from controller.ops.port.descriptors import raise_descriptor_limit
from controller.ops.port.http_server import Ports, serve
from controller.ops.shared_answer import SharedAnswer
from controller.settings import HttpSettings
from tests.stack.waiting import until

CUT = "eureka_drain_http_connections_cut_total"
LARGE = 8 * 1024 * 1024


class Served:
    """The port, and what a client does at it."""

    def __init__(self, ports: Ports, metrics: Metrics) -> None:
        self.ports = ports
        self.metrics = metrics
        self.writers: list[asyncio.StreamWriter] = []

    async def send(self, data: bytes = b"", source: str = "127.0.0.1") -> asyncio.StreamReader:
        address = ("127.0.0.1", self.ports.http)
        reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0), limit=1024)
        self.writers.append(writer)
        writer.write(data)
        return reader

    def was_cut(self, reason: str, times: int = 1) -> Callable[[], bool]:
        line = f'{CUT}{{reason="{reason}"}} {float(times)}'
        return lambda: line in self.metrics.exposition().decode()


@asynccontextmanager
async def served(*routes: web.RouteDef, metrics_port: int | None = None) -> AsyncIterator[Served]:
    application, metrics = web.Application(client_max_size=64 * 1024), Metrics()
    application.add_routes(routes)
    settings = HttpSettings(host="127.0.0.1", port=0, metrics_port=metrics_port)
    async with serve(settings, metrics, {}, application) as ports:
        one = Served(ports, metrics)
        yield one
        for writer in one.writers:
            writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends."""
    found = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(10):
            while part := await reader.read(65_536):
                found += part
    return found


GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("begun", [b"", GET % b"/healthz"])
async def test_a_head_that_does_not_end_in_time_is_cut(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.3)
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)
    async with served() as port:
        assert await rest(await port.send(begun)) == b""
        assert port.was_cut("no_request_in_time")()


async def test_what_is_sent_ahead_of_an_answer_ends_with_it() -> None:
    async with served() as port:
        for more in (GET % b"/healthz", GET % b"/healthz" + b"\r\n", GET % b"/nowhere" + b"\r\n"):
            answer = await rest(await port.send(GET % b"/healthz" + b"\r\n" + more))
            assert (answer.count(b"HTTP/1.1"), b"Connection: close" in answer) == (1, True)


async def test_a_head_that_is_too_large_is_answered_and_ended() -> None:
    async with served() as port:
        line = b"x-a: " + b"v" * 15_000 + b"\r\n"
        assert b"200 OK" in await rest(await port.send(GET % b"/healthz" + 2 * line + b"Connection: close\r\n\r\n"))
        answer = await rest(await port.send(GET % b"/healthz" + 3 * line))
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"32 KiB" in answer
        many = b"".join(b"x-%d: v\r\n" % number for number in range(200))
        assert b" 400 " in await rest(await port.send(GET % b"/healthz" + many + b"\r\n"))


async def test_an_answer_that_is_not_read_in_time_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.3)
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.05)
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        finally:
            ended.set()

    async with served(web.get("/endless", endless), web.get("/large", large)) as port:
        await port.send(GET % b"/endless" + b"\r\n")
        await port.send(GET % b"/large" + b"\r\n")
        await until(port.was_cut("not_read_in_time", 2), "both cuts")
        await asyncio.wait_for(ended.wait(), 5)
        # Whoever reads gets all of it.
        reader = await port.send(GET % b"/large" + b"Connection: close\r\n\r\n")
        assert len(await rest(reader)) > LARGE


async def large(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * LARGE)


async def test_the_address_that_holds_the_most_is_cut_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_HELD_BYTES", 5 * LARGE)
    async with served(web.get("/large", large)) as port:
        kept = await port.send(GET % b"/large" + b"Connection: close\r\n\r\n", source="127.0.0.2")
        await asyncio.sleep(0.1)
        for _ in range(4):
            await port.send(GET % b"/large" + b"\r\n", source="127.0.0.3")
            await asyncio.sleep(0.1)
        await until(port.was_cut("too_much_held", 3), "three of its four")
        assert len(await rest(kept)) > LARGE


async def test_what_waits_goes_before_what_is_answered_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 6)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_PER_PEER", 4)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        return web.Response(text="kept")

    async with served(web.get("/wait", wait)) as port:
        busy = await port.send(GET % b"/wait" + b"Connection: close\r\n\r\n", source="127.0.0.3")
        await begun.wait()
        idle = [await port.send(source="127.0.0.3") for _ in range(4)]
        assert await rest(idle[0]) == b""
        other = await port.send(source="127.0.0.2")
        third = await port.send(GET % b"/healthz", source="127.0.0.4")
        probe = await port.send(GET % b"/healthz" + b"Connection: close\r\n\r\n")
        assert b"200 OK" in await rest(probe)
        assert await rest(idle[1]) == b""
        go_on.set()
        assert (await rest(busy)).endswith(b"kept")
        assert port.was_cut("too_many", 2)()
        assert (other.at_eof(), third.at_eof(), idle[3].at_eof()) == (False, False, False)


async def test_a_body_that_is_too_large_gets_its_answer() -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async with served(web.post("/read", read)) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port.ports.http}/read"
        for size, status in ((0, 200), (60_000, 200), (70_000, 413), (200_000, 413)):
            async with session.post(url, data=b"x" * size) as answer:
                assert (answer.status, await answer.text() if status == 200 else str(size)) == (status, str(size))


async def test_requests_in_turn_on_one_connection_are_answered_however_many() -> None:
    async with served() as port, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for _ in range(200):
            async with session.get(
                f"http://127.0.0.1:{port.ports.http}/healthz", headers={"x-a": "v" * 8_000}
            ) as answer:
                assert answer.status == 200


async def test_metrics_on_a_port_of_their_own_are_only_there() -> None:
    async with served(metrics_port=0) as port, aiohttp.ClientSession() as session:
        assert port.ports.http != port.ports.metrics
        found = {}
        for name, number in (("http", port.ports.http), ("metrics", port.ports.metrics)):
            for path in ("/healthz", "/metrics"):
                async with session.get(f"http://127.0.0.1:{number}{path}") as answer:
                    found[name, path] = answer.status
        expected = {("http", "/healthz"): 200, ("http", "/metrics"): 404}
        assert found == expected | {("metrics", "/healthz"): 404, ("metrics", "/metrics"): 200}
    async with served() as port:
        assert port.ports.http == port.ports.metrics


async def test_metrics_are_rendered_once_a_second_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[threading.Thread]()

    def render(_: Metrics) -> bytes:
        threads.append(threading.current_thread())
        return b"%d" % len(threads)

    monkeypatch.setattr(Metrics, "exposition", render)
    async with served() as port, aiohttp.ClientSession() as session:

        async def ask() -> str:
            async with session.get(f"http://127.0.0.1:{port.ports.metrics}/metrics") as answer:
                return await answer.text()

        assert await asyncio.gather(*(ask() for _ in range(20))) == ["1"] * 20
        await asyncio.sleep(http_server.EXPOSITION_LASTS)
        assert await asyncio.gather(*(ask() for _ in range(20))) == ["2"] * 20
    assert threading.main_thread() not in threads


async def test_an_answer_is_shared_by_all_who_ask_in_time() -> None:
    now, made = 0.0, list[int]()

    async def make() -> int:
        made.append(len(made))
        await asyncio.sleep(0)
        return made[-1]

    answer = SharedAnswer(make, lasts=1.0, clock=lambda: now)
    assert await asyncio.gather(*(answer.get() for _ in range(20))) == [0] * 20
    now = 0.9
    assert await answer.get() == 0
    now = 1.1
    first = asyncio.create_task(answer.get())
    await asyncio.sleep(0)
    first.cancel()
    assert await answer.get() == 1


async def test_an_answer_that_cannot_be_made_is_tried_again() -> None:
    answers = iter((ValueError("odd"), "fine"))

    async def make() -> str:
        answer = next(answers)
        if not isinstance(answer, str):
            raise answer
        return answer

    answer = SharedAnswer(make, lasts=1.0)
    with pytest.raises(ValueError, match="odd"):
        await answer.get()
    assert await answer.get() == "fine"


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1_024), hard))
        assert raise_descriptor_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
