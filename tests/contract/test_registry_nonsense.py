"""Servers that do not answer as a registry should: each is a condition of a reading, none is an exception."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from loguru import logger

from controller.domain.instances import OUT_OF_SERVICE, Condition, read
from controller.domain.reason import ReasonCode
from controller.errors import RegistryError
from controller.eureka.node import NOBODY
from tests.contract import silly_server
from tests.contract.regions import adapter, clock
from tests.contract.silly_server import Answer, SillyServer, saying
from tests.unit.building import a_pod, an_instance

CANARY = "canary-9f2c-password"
ELSEWHERE = {"app": "OTHER", "instanceId": "other", "leaseInfo": {"lastRenewalTimestamp": 1}}

NONSENSE: dict[str, tuple[Answer, Condition]] = {
    "a page": (saying("<html>Please log in</html>", content_type="text/html"), Condition.failing),
    "an empty 200": (saying(""), Condition.failing),
    "half a JSON": (saying('{"instance": {"app": "APP", "inst'), Condition.failing),
    "another JSON": (saying("[1, 2, 3]"), Condition.failing),
    "deep JSON": (saying("[" * 50_000), Condition.failing),
    "not UTF-8": (saying(b'{"instance": {"app": "\xff\xfe"}}'), Condition.failing),
    "another instance": (saying(json.dumps({"instance": ELSEWHERE})), Condition.failing),
    "404 of a proxy": (saying("default backend - 404", status=404, content_type="text/plain"), Condition.failing),
    "404 of a web server": (saying("<html><title>404 Not Found</title>", status=404), Condition.failing),
    "404 of another application": (silly_server.other_application, Condition.failing),
    "404 without a word": (saying("", status=404), Condition.failing),
    "500": (saying("boom", status=500), Condition.failing),
    "503": (saying("boom", status=503), Condition.failing),
    "406": (saying("gzip?", status=406), Condition.failing),
    "429": (saying("slow down", status=429), Condition.failing),
    "401": (saying("who?", status=401), Condition.denied),
    "403": (saying("csrf", status=403), Condition.denied),
    "an endless body": (silly_server.endless, Condition.failing),
    "a slow one": (silly_server.slow, Condition.unreachable),
    "a broken off one": (silly_server.broken_off, Condition.failing),
}


@pytest.mark.parametrize(("answer", "condition"), NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_a_reading_and_no_write_raises(answer: Answer, condition: Condition) -> None:
    seen: list[str] = []
    sink = logger.add(seen.append, level="DEBUG", format="{message} {extra}")
    try:
        async with SillyServer(answer) as server:
            url = server.url.replace("//", f"//admin:{CANARY}@")
            async with adapter(url, timeout="700ms") as region:
                begun = time.monotonic()
                (reading,) = await region.read("APP", "id")
                assert time.monotonic() - begun < 3
                assert reading.node == server.url
                if condition is Condition.unreachable:
                    assert reading.condition is condition
                else:
                    assert reading.condition in (condition, Condition.unreachable)
                    if answer is not silly_server.broken_off:
                        assert reading.condition is condition
                untaken = [
                    *await region.take_out("APP", "id", (reading,)),
                    *await region.restore("APP", "id", (reading,)),
                    *await region.remove("APP", "id", [reading.node]),
                ]
                if condition is not Condition.failing:
                    assert [one.condition for one in untaken] == [condition] * 3
                with pytest.raises(RegistryError) as looked_up:
                    await region.look_up("id")
                texts = [reading.detail, str(reading), str(looked_up.value), repr(looked_up.value), str(untaken), *seen]
                assert reading.detail
                assert not [text for text in texts if CANARY in text or "admin" in text]
            assert {token.partition(" ")[0] for token in server.authorizations} == {"Basic"}
    finally:
        logger.remove(sink)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(status: int) -> None:
    async with SillyServer() as trap:
        answer = saying("", status=status, Location=f"{trap.url}/apps/APP/id")
        async with SillyServer(answer) as server, adapter(server.url) as region:
            (reading,) = await region.read("APP", "id")
            assert reading.condition is Condition.failing
            assert "redirect" in reading.detail
            await region.take_out("APP", "id", (reading,))
            await region.restore("APP", "id", (reading,))
            await region.remove("APP", "id", [reading.node])
            with pytest.raises(RegistryError):
                await region.find(a_pod(), not_before=clock())
            assert len(server.requests) >= 5
        assert trap.requests == []


async def test_every_path_is_quoted_and_nothing_but_the_known_calls_is_sent() -> None:
    async with SillyServer() as server, adapter(server.url, username="u", password=CANARY) as region:
        await region.read("app", "a b%2F..;c")
        at = (read(server.url, an_instance(status=OUT_OF_SERVICE)),)
        await region.take_out("APP", "id", at)
        await region.restore("APP", "id", at)
        await region.remove("APP", "id", [server.url])
        await region.look_up("id")
        assert server.requests == [
            "GET /eureka/apps/APP/a%20b%252F..%3Bc",
            f"GET /eureka/vips/{NOBODY}",
            "PUT /eureka/apps/APP/id/status?value=DOWN",
            "PUT /eureka/apps/APP/id/status?value=OUT_OF_SERVICE",
            "DELETE /eureka/apps/APP/id/status?value=UP",
            "DELETE /eureka/apps/APP/id",
            "GET /eureka/instances/id",
        ]


async def test_an_index_with_nonsense_at_one_node_is_the_other_nodes() -> None:
    entry: dict[str, Any] = {"app": "APP", "instanceId": "id", "ipAddr": "10.1.0.7", "hostName": "h"}
    apps = saying(json.dumps({"applications": {"application": {"instance": entry}}}))
    async with SillyServer(saying("<html>")) as bad, SillyServer(apps) as good, adapter(bad.url, good.url) as region:
        found = await region.find(a_pod(), not_before=clock())
        assert [one.id for one in found.candidates] == ["id"]
        [missing] = found.missing
        assert missing.code is ReasonCode.bad_answer
        assert bad.url in str(missing)


async def test_an_index_whose_node_answers_404_proves_nothing() -> None:
    """A proxy, or a wrong path: no registry says 404 to GET apps."""
    async with SillyServer(saying("", status=404)) as server, adapter(server.url) as region:
        with pytest.raises(RegistryError, match="/eureka"):
            await region.find(a_pod(), not_before=clock())


async def test_numbers_as_text_and_the_other_spelling_of_the_override_are_read() -> None:
    entry = {
        "app": "app",
        "instanceId": "id",
        "hostName": "h",
        "ipAddr": "10.1.0.7",
        "status": "OUT_OF_SERVICE",
        "overriddenstatus": "OUT_OF_SERVICE",
        "port": {"$": "8080", "@enabled": "true"},
        "leaseInfo": {"renewalIntervalInSecs": "10", "lastRenewalTimestamp": "1700000000000"},
    }
    async with SillyServer(saying(json.dumps({"instance": entry}))) as server, adapter(server.url) as region:
        (reading,) = await region.read("APP", "id")
        assert reading.condition is Condition.out
        assert reading.instance is not None
        assert reading.instance.port == 8080
        assert reading.instance.renewal_interval.total_seconds() == 10
