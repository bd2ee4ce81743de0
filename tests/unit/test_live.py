"""Event streams: how long they last, how many a person has, and what stands in them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from controller.domain.events import Outcome, make_event
from controller.ops.auth.authorizer import Permission
from controller.ops.auth.decision_cache import User
from controller.ops.auth.refusals import refusals
from controller.ops.metrics import Metrics
from controller.ops.port import connections
from controller.ops.port.http_server import serve
from controller.ops.web import server_sent_events
from controller.ops.web.server_sent_events import MAX_LISTENERS_PER_USER, Live
from controller.settings import HttpSettings, OpsSettings
from tests.stack.waiting import until
from tests.unit.authorizer_app import ANA, BOB, VIEWER, AuthorizerApp, bearer
from tests.unit.building import a_command, at

EVENT = make_event(a_command(), Outcome.requested, at(0))


class Streams:
    """The streams of an application, on the port as it is served."""

    def __init__(self, **settings: object) -> None:
        self.app = AuthorizerApp(viewer_token=VIEWER, **settings)
        self.live = Live()
        self.live.open = True
        self.application = web.Application(middlewares=[refusals()])
        self.application.add_routes([web.get("/events", self._events, allow_head=False)])
        self.url = ""
        self.session: aiohttp.ClientSession

    async def _events(self, request: web.Request) -> web.StreamResponse:
        authorizer = self.app.authorizer
        user: User = await authorizer.authorize(request, Permission.READ)
        return await self.live.follow(request, user, lambda: authorizer.authorize(request, Permission.READ))

    async def listen(self, headers: dict[str, str]) -> aiohttp.ClientResponse:
        return await self.session.get(self.url, headers=headers)


@asynccontextmanager
async def streams(**settings: object) -> AsyncIterator[Streams]:
    made = Streams(**settings)
    http = HttpSettings(host="127.0.0.1", port=0)
    async with serve(http, Metrics(), {}, made.application) as ports, aiohttp.ClientSession() as made.session:
        made.url = f"http://127.0.0.1:{ports.http}/events"
        yield made
        made.live.close()


def take_away(one: Streams) -> None:
    del one.app.checker.rights[ANA]


def rotate(one: Streams) -> None:
    one.app.authorizer.rotate_credentials(OpsSettings())


@pytest.mark.parametrize(("token", "end"), [(ANA, take_away), (VIEWER, rotate)])
@pytest.mark.parametrize("by_cookie", [False, True])
async def test_a_stream_ends_with_the_right_behind_it(
    token: str, end: Callable[[Streams], None], by_cookie: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_sent_events, "RIGHTS_INTERVAL", 0.1)
    monkeypatch.setattr(server_sent_events, "KEEP_ALIVE_INTERVAL", 0.05)
    async with streams() as one:
        headers = one.app.cookie(token) if by_cookie else bearer(token)
        async with await one.listen(headers) as listening, await one.listen(bearer(BOB)) as other:
            await asyncio.sleep(0.3)
            assert not listening.content.at_eof()
            end(one)
            one.app.clock.now += 30.1  # what was remembered
            text = await asyncio.wait_for(listening.text(), 5)
            assert "you may not read this any more" in text
            await asyncio.sleep(0.3)
            assert not other.content.at_eof()


async def test_a_stream_outlives_an_api_server_that_is_away_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "RIGHTS_INTERVAL", 0.05)
    monkeypatch.setattr(server_sent_events, "KEEP_ALIVE_INTERVAL", 0.02)
    monkeypatch.setattr(server_sent_events, "UNCHECKED_TIMEOUT", 0.5)
    async with streams() as one, await one.listen(bearer(ANA)) as listening:
        one.app.checker.trouble = TimeoutError()
        one.app.clock.now += 30.1
        await asyncio.sleep(0.2)
        assert not listening.content.at_eof()
        assert "nobody can say any more" in await asyncio.wait_for(listening.text(), 5)


async def test_one_person_has_a_few_streams_and_the_others_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_LISTENERS_PER_SHARED_USER", 3)
    monkeypatch.setattr(server_sent_events, "MAX_LISTENERS", MAX_LISTENERS_PER_USER + 5)
    async with streams() as one:
        opened = [await one.listen(bearer(ANA)) for _ in range(MAX_LISTENERS_PER_USER)]
        async with await one.listen(bearer(ANA)) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
            assert "ana has 8 event streams already" in await refused.text()
        opened += [await one.listen(bearer(VIEWER)) for _ in range(3)]
        async with await one.listen(bearer(VIEWER)) as refused:
            assert refused.status == 429
        opened += [await one.listen(bearer(BOB)) for _ in range(2)]
        async with await one.listen(bearer(BOB)) as refused:
            assert (refused.status, "Retry-After" in refused.headers) == (503, True)
        assert [answer.status for answer in opened] == [200] * len(opened)
        opened[0].close()
        await until(lambda: len(one.live._listeners) < len(opened), "the end of the closed one")
        opened.append(await one.listen(bearer(ANA)))
        assert opened[-1].status == 200
        for answer in opened:
            answer.close()
        await until(lambda: not one.live._per_user and not one.live._listeners, "the end of all")


async def test_a_listener_that_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.5)
    monkeypatch.setattr(connections, "SWEEP_INTERVAL", 0.1)
    async with streams() as one:
        host, port = one.url.removeprefix("http://").removesuffix("/events").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ANA}\r\n\r\n".encode())
        async with await one.listen(bearer(BOB)) as reading:

            async def read() -> None:
                with suppress(aiohttp.ClientError):
                    async for _ in reading.content.iter_chunked(65_536):
                        pass

            task = asyncio.create_task(read())
            await until(lambda: len(one.live._listeners) == 2, "both listeners")
            for _ in range(200):
                one.live._send(b"data: " + b"x" * 100_000 + b"\n\n")
                await asyncio.sleep(0.005)
            await until(lambda: len(one.live._listeners) == 1, "the end of the one that does not read")
            await asyncio.sleep(1)
            assert not task.done(), "the one that reads goes on"
            one.live.close()
            await task
        writer.transport.abort()


async def test_no_event_id_makes_a_field_or_an_event_of_its_own() -> None:
    hostile = "a\ndata: {}\n\nevent: end\r\u2028\x00id: b"
    async with streams() as one, await one.listen(bearer(ANA)) as listening:
        await until(lambda: one.live._listeners, "the listener")
        one.live.apply(replace(EVENT, event_id=hostile))
        one.live.apply(replace(EVENT, event_id="next"))
        text = b""
        while b"id: next" not in text:
            text += await asyncio.wait_for(listening.content.readany(), 5)
    lines = re.split(r"\r\n|\r|\n", text.decode())
    assert [line for line in lines if line.startswith("event:")] == ["event: drain"] * 2
    assert [line for line in lines if line.startswith("id:")] == ["id: a?data: {}??event: end???id: b", "id: next"]
