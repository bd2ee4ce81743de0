"""Which names of the Host header are ours, and what a name that is not is answered."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.ops.auth.host_names import check_host, is_ours
from controller.ops.auth.refusals import refusals

OURS = [
    "127.0.0.1", "10.1.0.7:8080", "[::1]", "[fd00:10::7]:8080", "localhost", "localhost:8080", "eureka-drain-ops",
    "ops.eureka-drain.svc", "ops.eureka-drain.svc.cluster.local:80", "10-1-0-7.eureka-drain.pod.cluster.local",
    "drain.example", "DRAIN.example:8443", "drain.example.", "",
]  # fmt: skip
FOREIGN = [
    "evil.example", "drain.example.evil.example", "ops.svc.evil.example", "xdrain.example", "10.1.0.7.evil.example",
    "drain.example@evil.example", "evil.example/drain.example", "drain.example:port", "[::1", "127.0.0.1.nip.io",
    "sub.drain.example", ".", "drain.example evil", "evil.example#localhost", "2130706433.example", "a\u3002example",
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours"), [*((one, True) for one in OURS), *((one, False) for one in FOREIGN)])
def test_a_name_is_ours_that_nobody_outside_can_own_or_that_is_set(name: str, ours: bool) -> None:
    assert is_ours(name, {"drain.example"}) is ours
    assert is_ours("drain.example", set()) is False


@pytest.mark.parametrize(
    ("hosts", "trust", "headers", "status"),
    [
        ([], False, {"Host": "evil.example"}, 421),
        ([], False, {"Host": "evil.example", "X-Forwarded-Host": "localhost"}, 421),
        (["Drain.Example."], False, {"Host": "drain.example:443"}, 200),
        (["*"], False, {"Host": "evil.example"}, 200),
        (["drain.example"], True, {"Host": "10.1.0.7", "X-Forwarded-Host": "drain.example"}, 200),
        (["drain.example"], True, {"Host": "10.1.0.7", "X-Forwarded-Host": "evil.example"}, 421),
        (["drain.example"], True, {"Host": "drain.example"}, 200),
    ],
)
async def test_another_name_is_answered_421_and_names_the_setting(
    hosts: list[str], trust: bool, headers: dict[str, str], status: int
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="in")

    application = web.Application(middlewares=[refusals(), check_host(hosts, trust_forwarded=trust)])
    application.add_routes([web.get("/page", answer), web.get("/healthz", answer)])
    async with TestClient(TestServer(application)) as client:
        async with client.get("/page", headers=headers) as got:
            assert (got.status, "ops.hosts" in await got.text()) == (status, status == 421)
        async with client.get("/healthz", headers=headers) as got:
            assert got.status == 200, "a probe may name any host"
