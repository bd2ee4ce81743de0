"""Nodes that are slow, refuse, or have another time: none changes what is made of the others."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from controller.domain.commands import Target
from controller.domain.instances import Condition
from controller.domain.silence import may_heartbeat
from controller.eureka.region import MAX_LEFT_READS
from tests.contract.regions import adapter, clock
from tests.contract.silly_server import Answer, SillyServer
from tests.contract.test_registry import conditions
from tests.stack.waiting import until
from tests.unit.building import a_pod, a_target

REFUSING = "http://127.0.0.1:1/eureka"


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


class Holder:
    """A node that holds one instance, takes its time, and has a clock of its own."""

    def __init__(self, *, takes: float = 0, ahead: timedelta = timedelta(0), registered: float = 60) -> None:
        self.takes = takes
        self.asked = 0
        self._ahead = ahead
        self.registered_at = clock() - timedelta(seconds=registered)
        self.renewed_at = self.registered_at

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        await asyncio.sleep(self.takes)
        lease = {
            "renewalIntervalInSecs": 30,
            "registrationTimestamp": milliseconds(self.registered_at + self._ahead),
            "lastRenewalTimestamp": milliseconds(self.renewed_at + self._ahead),
        }
        entry = {"app": "APP", "instanceId": "id", "ipAddr": "10.1.0.7", "status": "UP", "leaseInfo": lease}
        whole = {"applications": {"application": [{"name": "APP", "instance": [entry]}]}}
        shown = whole if request.path.endswith("/apps") else {"instance": entry}
        headers = {"Date": format_datetime(clock() + self._ahead, usegmt=True)}
        return web.Response(text=json.dumps(shown), content_type="application/json", headers=headers)


async def test_a_node_that_refuses_at_once_does_not_shorten_the_others_time() -> None:
    living = Holder(takes=2)
    async with SillyServer(living.answer) as server, adapter(REFUSING, server.url) as region:
        for takes in (2, 0.15, 0.15, 1.0, 0.15):
            living.takes = takes
            assert conditions(await region.read("APP", "id")) == [Condition.unreachable, Condition.in_service]
            found = await region.find(a_pod(), not_before=clock())
            assert [one.id for one in found.candidates] == ["id"]
            assert [REFUSING in str(reason) for reason in found.missing] == [True]


async def test_a_large_list_is_waited_for_when_the_others_are_small() -> None:
    large, small = Holder(takes=1.4), Holder()
    async with SillyServer(large.answer) as one, SillyServer(small.answer) as two, adapter(one.url, two.url) as region:
        for _ in range(2):
            assert (await region.find(a_pod(), not_before=clock())).missing == ()


async def test_a_node_slow_within_its_timeout_is_never_left_out() -> None:
    slow, quick = Holder(takes=0.7), Holder()
    async with (
        SillyServer(slow.answer) as one,
        SillyServer(quick.answer) as two,
        adapter(one.url, two.url, timeout="1s") as region,
    ):
        for _ in range(3):
            assert conditions(await region.read("APP", "id")) == [Condition.in_service] * 2


async def test_a_frozen_node_is_waited_for_briefly_and_is_well_when_it_answers() -> None:
    frozen, quick = Holder(takes=60), Holder()
    async with (
        SillyServer(frozen.answer) as one,
        SillyServer(quick.answer) as two,
        adapter(one.url, two.url, timeout="1s") as region,
    ):
        assert conditions(await region.read("APP", "id")) == [Condition.unreachable, Condition.in_service]
        begun = time.monotonic()
        readings = await asyncio.gather(*(region.read("APP", "id") for _ in range(50)))
        assert time.monotonic() - begun < 10, "seconds, not one after the other's time"
        assert all(conditions(some) == [Condition.unreachable, Condition.in_service] for some in readings)
        frozen.takes = 0.5

        async def well() -> bool:
            return conditions(await region.read("APP", "id")) == [Condition.in_service] * 2

        await until(well, "the node is like any other again", timeout=10)
        assert conditions(await region.read("APP", "id")) == [Condition.in_service] * 2


async def test_what_is_left_to_itself_is_bounded_and_ends_with_the_region() -> None:
    frozen, quick = Holder(takes=60), Holder()
    async with SillyServer(frozen.answer) as one, SillyServer(quick.answer) as two:
        async with adapter(one.url, two.url, timeout="2s") as region:
            await region.read("APP", "id")
            await asyncio.gather(*(region.read("APP", "id") for _ in range(50)))
            assert 0 < len(named("read")) <= MAX_LEFT_READS
        assert not named("read")


def named(function: str) -> list[asyncio.Task[object]]:
    """The tasks that run a function of this name of the adapter's."""
    coroutines = [(task, task.get_coro()) for task in asyncio.all_tasks()]
    return [task for task, it in coroutines if getattr(it, "__qualname__", "").rpartition(".")[2] == function]


@pytest.mark.parametrize("ahead", [-90, 90, -3600])
async def test_a_node_whose_clock_differs_shows_registrations_by_ours(ahead: int) -> None:
    node = Holder(ahead=timedelta(seconds=ahead), registered=20)
    async with SillyServer(node.answer) as server, adapter(server.url) as region:
        await region.read("APP", "id")
        (reading,) = await region.read("APP", "id")
        [candidate] = (await region.find(a_pod(), not_before=clock())).candidates
    for instance in (reading.instance, candidate):
        assert instance is not None
        assert instance.registered_at is not None
        assert abs(instance.clock_ahead - timedelta(seconds=ahead)) <= timedelta(seconds=1)
        assert abs(instance.registered_at - node.registered_at) <= timedelta(seconds=2)


@pytest.mark.parametrize("ahead", [-300, 300])
@pytest.mark.parametrize(("renewed", "may"), [(10, True), (200, False)])
async def test_silence_is_measured_by_the_nodes_clock(ahead: int, renewed: float, *, may: bool) -> None:
    node = Holder(ahead=timedelta(seconds=ahead), registered=600)
    node.renewed_at = clock() - timedelta(seconds=renewed)
    async with SillyServer(node.answer) as server, adapter(server.url) as region:
        readings = await region.read("APP", "id")
    target: Target = a_target()
    assert may_heartbeat(target, readings, clock()) is may


def without_date(text: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await Holder().answer(request)
        response.headers["Date"] = text
        return response

    return answer


@pytest.mark.parametrize("text", ["", "noon", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_a_node_that_shows_no_time_is_believed_to_have_ours(text: str) -> None:
    async with SillyServer(without_date(text)) as server, adapter(server.url) as region:
        (reading,) = await region.read("APP", "id")
    assert reading.instance is not None
    assert reading.instance.clock_ahead == timedelta(0)
