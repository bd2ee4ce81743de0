"""A small application behind an authorizer, with an API server that is made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from controller.errors import KubernetesError
from controller.kube.reviews import Identity
from controller.ops.auth.authorizer import Authorizer, Permission
from controller.ops.auth.credentials import COOKIE, HOST_COOKIE
from controller.ops.auth.headers import ENDLESS, MAX_BODY_BYTES, SERVER_OPTIONS, protect, time_limit
from controller.ops.auth.refusals import refusals
from controller.ops.auth.session import SessionPages
from controller.settings import OpsSettings

VIEWER = "viewer-" + "v" * 16
OPERATOR = "operator-" + "o" * 16
ANA = "ana-may-read-and-write"
BOB = "bob-may-read-only"
EVE = "eve-may-do-nothing"

Client = TestClient[web.Request, web.Application]


class FakeChecker:
    """Knows three users by their tokens; can be slow, and can be out of order."""

    def __init__(self) -> None:
        self.rights = {ANA: {"get", "create"}, BOB: {"get"}, EVE: set[str]()}
        self.asked: list[str] = []
        self.trouble: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def who(self, token: str) -> Identity | None:
        self.asked.append(token)
        await self.go_on.wait()
        if self.trouble:
            raise self.trouble
        return Identity(name=token.split("-")[0]) if token in self.rights else None

    async def may(self, identity: Identity, verb: str, resource: str) -> tuple[bool, str]:
        assert (verb, resource) in {("get", "drains"), ("create", "replays")}
        return any(verb in verbs for token, verbs in self.rights.items() if token.startswith(f"{identity.name}-")), ""


class Clock:
    """Goes forward by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class AuthorizerApp:
    """An authorizer, what it is made of, and a client."""

    def __init__(self, **settings: Any) -> None:
        self.checker = FakeChecker()
        self.clock = Clock()
        self.authorizer = Authorizer(OpsSettings(**settings), self.checker, clock=self.clock)
        session = SessionPages(self.authorizer, _sign_in_page)
        self.application = web.Application(middlewares=[time_limit, refusals()], client_max_size=MAX_BODY_BYTES)
        protect(self.application)
        routes = [
            web.get("/read", self._read),
            web.route("*", "/write", self._write),
            web.get("/offer", self._offer),
            web.get("/stream", self._stream),
            web.get("/slow", self._slow),
            web.get("/broken", self._broken),
            web.get("/cached", self._cached),
            web.post("/sign-in", session.sign_in),
            web.post("/sign-out", session.sign_out),
        ]
        self.application.add_routes(routes)
        self.client: Client

    async def get(self, path: str = "/read", **options: Any) -> tuple[int, str]:
        async with self.client.get(path, **options) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str = "/write", **options: Any) -> tuple[int, str]:
        async with self.client.post(path, **options) as answer:
            return answer.status, await answer.text()

    def cookie(self, token: str) -> dict[str, str]:
        """The cookie of somebody who has signed in with this token."""
        session = self.authorizer.sessions.open(token, "somebody")
        return {"Cookie": f"{COOKIE}={session}; {HOST_COOKIE}={session}"}

    async def _read(self, request: web.Request) -> web.Response:
        user = await self.authorizer.authorize(request, Permission.READ)
        return web.Response(text=user.name)

    async def _write(self, request: web.Request) -> web.Response:
        user = await self.authorizer.authorize(request, Permission.WRITE)
        return web.Response(text=user.name)

    async def _offer(self, request: web.Request) -> web.Response:
        return web.Response(text=str(await self.authorizer.may_write(request)))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        request[ENDLESS] = True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await asyncio.sleep(0.3)
        await response.write(b"data: 2\n\n")
        return response

    async def _slow(self, request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def _broken(self, request: web.Request) -> web.Response:
        raise KubernetesError("a mistake of ours")

    async def _cached(self, request: web.Request) -> web.Response:
        return web.Response(headers={"Cache-Control": "max-age=60"})


def _sign_in_page(after: str, problem: str) -> web.Response:
    return web.Response(text=f"{after} {problem}")


@asynccontextmanager
async def authorizer_app(**settings: Any) -> AsyncIterator[AuthorizerApp]:
    """Serve it on a free port. Redirects are not followed, and cookies are not kept by themselves."""
    app = AuthorizerApp(**{"viewer_token": VIEWER, "operator_token": OPERATOR, **settings})
    async with _client(app) as app.client:
        yield app


@asynccontextmanager
async def _client(app: AuthorizerApp) -> AsyncIterator[Client]:
    server = TestServer(app.application)
    client = TestClient(server, cookie_jar=DummyCookieJar())
    await server.start_server(**SERVER_OPTIONS)
    try:
        yield client
    finally:
        await client.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
