"""How old a node's response cache may be, read from the page on which a Spring Cloud server shows its settings."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.eureka.caches import CONFIGPROPS_PATH, MAX_AGE_MS, REFRESH_INTERVAL, Caches, decode_age
from controller.eureka.node import Node
from controller.eureka.registry_decoder import NonsenseError
from controller.eureka.transport import DeniedError, UnreachableError
from tests.fakes.virtual_time import in_virtual_time

BEAN = "eureka.server-org.springframework.cloud.netflix.eureka.server.EurekaServerConfigBean"
MASKED = "******"


def page(**properties: Any) -> bytes:
    """As a server answers; what else stands there is none of our business."""
    usual = {
        "responseCacheUpdateIntervalMs": 30_000,
        "useReadOnlyResponseCache": True,
        "aSGCacheExpiryTimeoutMs": 600_000,
        "myUrl": "http://eureka-0:8761/eureka",
        "expectedClientRenewalIntervalSeconds": 30,
        "renewalPercentThreshold": 0.85,
        "peerNodeReadTimeoutMs": {},
        "remoteRegionUrls": [],
    }
    kept = {name: value for name, value in {**usual, **properties}.items() if value is not ...}
    bean = {"prefix": "eureka.server", "properties": kept, "inputs": {"myUrl": {"origin": "command line"}}}
    return json.dumps({"contexts": {"eureka-server-1": {"beans": {BEAN: bean}, "parentId": "bootstrap"}}}).encode()


def age(**properties: Any) -> float | None:
    shown = decode_age(page(**properties))
    return None if shown is None else shown.total_seconds()


def test_a_stock_servers_cache_is_half_a_minute_old() -> None:
    assert age() == 30


@pytest.mark.parametrize(
    ("shown", "seconds"), [(7_000, 7), ("7000", 7), (1, 0.001), (0, 0), (MAX_AGE_MS, 3_600), ("30000", 30)]
)
def test_what_is_set_is_a_number_or_a_text(shown: int | str, seconds: float) -> None:
    assert age(responseCacheUpdateIntervalMs=shown) == seconds


@pytest.mark.parametrize("switched_off", [False, "false", "FALSE", "False"])
def test_a_server_that_does_not_use_that_cache_shows_nothing_old(switched_off: bool | str) -> None:
    assert age(useReadOnlyResponseCache=switched_off) == 0
    assert age(useReadOnlyResponseCache=switched_off, responseCacheUpdateIntervalMs=MASKED) == 0


@pytest.mark.parametrize(
    "shown",
    [
        {"responseCacheUpdateIntervalMs": MASKED, "useReadOnlyResponseCache": MASKED},
        {"responseCacheUpdateIntervalMs": MASKED},
        {"useReadOnlyResponseCache": MASKED},
        {"responseCacheUpdateIntervalMs": ...},
        {"useReadOnlyResponseCache": ...},
        {"responseCacheUpdateIntervalMs": None},
        {"responseCacheUpdateIntervalMs": -1},
        {"responseCacheUpdateIntervalMs": MAX_AGE_MS + 1},
        {"responseCacheUpdateIntervalMs": "9" * 18},
        {"responseCacheUpdateIntervalMs": "9" * 5_000},
        {"responseCacheUpdateIntervalMs": "7 s"},
        {"responseCacheUpdateIntervalMs": ""},
        {"responseCacheUpdateIntervalMs": "٣٠٠٠"},
        {"useReadOnlyResponseCache": "perhaps"},
    ],
    ids=str,
)
def test_what_is_masked_or_missing_or_no_caches_age_is_no_age(shown: dict[str, Any]) -> None:
    assert age(**shown) is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        b'{"contexts": {}}',
        b'{"contexts": {"application": {}}}',
        b'{"contexts": {"application": {"beans": {}}}}',
        b'{"contexts": {"application": {"beans": {"other": {}}}}}',
    ],
)
def test_a_server_without_such_settings_has_no_age(body: bytes | None) -> None:
    assert decode_age(body) is None


def test_the_settings_may_stand_in_any_context() -> None:
    contexts = json.loads(page(responseCacheUpdateIntervalMs=7_000))["contexts"]
    body = json.dumps({"contexts": {"bootstrap": {"beans": {"other": {"properties": {"a": 1}}}}, **contexts}})
    assert decode_age(body.encode()) == timedelta(seconds=7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"[]",
        b"{}",
        b"null",
        b'{"contexts": []}',
        b'{"contexts": {"a": {"beans": []}}}',
        page(responseCacheUpdateIntervalMs={"value": 7}),
        page(responseCacheUpdateIntervalMs=1.5),
        b'{"contexts": {"a": {"beans": {"b": {"properties": {"responseCacheUpdateIntervalMs": 1e400}}}}}}',
        b'{"contexts": ' + b'{"a":' * 100_000,
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_nonsense_is_reported_as_such_without_a_word_of_it(body: bytes) -> None:
    with pytest.raises(NonsenseError) as error:
        decode_age(body)
    assert str(error.value) == "its settings cannot be read"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "responseCacheUpdateIntervalMs": JSON | st.integers(-10, 2 * MAX_AGE_MS).map(str),
        "useReadOnlyResponseCache": JSON | st.sampled_from(["true", "false"]),
        "other": JSON,
    },
)


@given(SETTINGS | JSON.filter(lambda shown: not isinstance(shown, dict)), st.binary(max_size=9))
def test_whatever_a_server_says_is_an_age_that_can_be_or_none_or_nonsense(properties: Any, tail: bytes) -> None:
    body = json.dumps({"contexts": {"a": {"beans": {"b": {"properties": properties}}}}}).encode() + tail
    try:
        shown = decode_age(body)
    except NonsenseError:
        return
    assert shown is None or timedelta(0) <= shown <= timedelta(milliseconds=MAX_AGE_MS)


class Server:
    """A node that answers what the test says."""

    def __init__(self, name: str, answer: bytes | Exception | None) -> None:
        self.url = f"http://{name}:8761/eureka"
        self.answer = answer
        self.asked: list[str] = []

    async def ask_server(self, path: str) -> bytes | None:
        self.asked.append(path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Region:
    """The caches of some servers, asked for ever."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.servers = [Server(f"eureka-{number}", answer) for number, answer in enumerate(answers)]
        self.caches = Caches(region="eu", nodes=cast("list[Node]", self.servers))

    @property
    def age(self) -> float | None:
        return None if self.caches.age is None else self.caches.age.total_seconds()

    async def __aenter__(self) -> Region:
        self._running = asyncio.create_task(self.caches.keep_fresh())
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self._running.done()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


def of(milliseconds: int) -> bytes:
    return page(responseCacheUpdateIntervalMs=milliseconds)


AWAY = UnreachableError("no answer in time")


@in_virtual_time
async def test_the_oldest_cache_of_all_nodes_counts_and_they_are_asked_seldom() -> None:
    async with Region(of(7_000), of(20_000)) as region:
        assert region.age == 20
        await asyncio.sleep(3_600)
        asked = 1 + 3_600 // REFRESH_INTERVAL.total_seconds()
        assert [one.asked for one in region.servers] == [[CONFIGPROPS_PATH] * int(asked)] * 2


@pytest.mark.parametrize("answer", [None, AWAY, DeniedError("HTTP 401"), b"<html>"], ids=repr)
@in_virtual_time
async def test_while_some_node_does_not_answer_no_age_is_known(answer: bytes | Exception | None) -> None:
    async with Region(of(7_000), answer) as region:
        assert region.age is None
        region.servers[1].answer = of(9_000)
        await asyncio.sleep(REFRESH_INTERVAL.total_seconds())
        assert region.age == 9


@in_virtual_time
async def test_a_node_that_is_away_for_a_while_keeps_its_last_answer() -> None:
    async with Region(of(7_000)) as region:
        region.servers[0].answer = AWAY
        await asyncio.sleep(3_600)
        assert region.age == 7


@pytest.mark.parametrize(
    "answer",
    [None, page(responseCacheUpdateIntervalMs=MASKED), DeniedError("HTTP 403"), NonsenseError("HTTP 302"), b"<html>"],
    ids=repr,
)
@in_virtual_time
async def test_a_node_that_shows_no_age_any_more_loses_its_old_one(answer: bytes | Exception | None) -> None:
    async with Region(of(7_000)) as region:
        region.servers[0].answer = answer
        await asyncio.sleep(REFRESH_INTERVAL.total_seconds())
        assert region.age is None


@in_virtual_time
async def test_a_region_without_nodes_has_no_age() -> None:
    async with Region() as region:
        assert region.age is None
