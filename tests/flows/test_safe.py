"""From when on no caller uses a drained instance any more, as its worker reckons."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from controller.domain.events import Event, Outcome
from controller.domain.instances import OUT_OF_SERVICE
from controller.domain.shutdown.verdict import shutdown_of
from controller.domain.shutdown.window import Window, WindowOverride, Windows
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import elapsed, in_virtual_time
from tests.flows.world import APP, ID, World, sleep_until
from tests.unit.building import a_command, a_pod, at, terminating
from tests.unit.shutdowns import an_end, record_of


def seconds(server_cache: float, client_fetch: float = 20, load_balancer: float = 5) -> Window:
    return Window(
        server_cache=timedelta(seconds=server_cache),
        client_fetch=timedelta(seconds=client_fetch),
        load_balancer=timedelta(seconds=load_balancer),
    )


def own(**lengths: float) -> WindowOverride:
    return WindowOverride(**{name: timedelta(seconds=length) for name, length in lengths.items()})


def window(event: Event) -> float:
    """Seconds from the take-out to when no caller uses it any more."""
    assert event.safe_at is not None
    return (event.safe_at - event.at).total_seconds()


STOCK = Windows(seconds(10))
OF_THE_REGION = Windows(seconds(10), of_regions={"eu": own(client_fetch=7), "us": own(client_fetch=500)})
OF_THE_APP = Windows(seconds(10), {APP: own(client_fetch=1)}, {"eu": own(client_fetch=7, load_balancer=2)})


@pytest.mark.parametrize(
    ("windows", "cache_age", "annotated", "expected"),
    [
        (STOCK, None, "", 35),
        (OF_THE_REGION, None, "", 22),
        (OF_THE_APP, None, "", 13),
        (STOCK, 3, "", 28),
        (Windows(seconds(10), {APP: own(server_cache=60)}), 3, "", 28),
        (STOCK, 0, "", 25),
        (STOCK, 3, "20s", 20),
        (STOCK, None, "0s", 0),
        (STOCK, None, "off", 35),
        (STOCK, None, "2h", 35),
    ],
    ids=[
        "the settings'",
        "the region's own",
        "the app's own before its region's",
        "what the nodes show before the settings",
        "and before the app's own",
        "nodes without that cache",
        "what the pod says before all others",
        "a pod that nobody calls",
        "a pod that wants no hook",
        "a pod that says too much",
    ],
)
@in_virtual_time
async def test_out_of_service_events_have_the_time_from_which_no_caller_uses_it(
    windows: Windows, cache_age: float | None, annotated: str, expected: float
) -> None:
    async with World(windows=windows) as world:
        world.registry.cache_age = None if cache_age is None else timedelta(seconds=cache_age)
        await world.process()
        pod = terminating(a_pod(annotations={"window": annotated} if annotated else {}))
        await world.send(a_command(pod))
        assert window(await world.until(Outcome.out_of_service)) == expected


@in_virtual_time
async def test_it_counts_from_the_last_node_that_shows_it_out() -> None:
    async with World() as world:
        await world.process()
        world.nodes[1].trouble = Trouble.down
        await world.send()
        trouble = await world.until(Outcome.retrying)
        assert trouble.safe_at is None
        await asyncio.sleep(120)
        world.nodes[1].trouble = None
        event = await world.until(Outcome.out_of_service)
        assert window(event) == 95
        assert event.at > at(120)


@in_virtual_time
async def test_what_went_by_itself_is_safe_a_window_after_it_was_found_gone() -> None:
    async with World() as world:
        app = await world.process()
        for node in world.nodes:
            node.cached()
        await app.shutdown()
        await asyncio.sleep(1)
        found_at = elapsed()
        await world.send()
        event = await world.until(Outcome.already_gone)
        assert elapsed() > found_at + 30, "it takes its time until that is sure"
        assert event.safe_at is not None
        assert abs((event.safe_at - at(found_at + 95)).total_seconds()) < 1


@in_virtual_time
async def test_what_was_back_in_service_is_safe_a_window_after_the_next_take_out() -> None:
    async with World() as world:
        await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await sleep_until(60)
        await world.nodes[0].delete_status(APP, ID, "UP")
        await asyncio.sleep(1)
        again = await world.until(Outcome.retrying)
        assert re.fullmatch(r"it was back in service until [\d:]{8}Z", str(again.reason))
        assert world.everywhere() == [OUT_OF_SERVICE, OUT_OF_SERVICE]
        assert again.safe_at is not None
        assert at(60 + 95) <= again.safe_at <= again.at + timedelta(seconds=97)
        record = record_of(*world.broker.events, an_end(100))
        assert record.safe_at == again.safe_at
        assert shutdown_of(record).text.startswith("not graceful")


@in_virtual_time
async def test_a_command_that_comes_twice_makes_nothing_safe_any_later() -> None:
    async with World() as world:
        await world.process()
        await world.send()
        first = await world.until(Outcome.out_of_service)
        await sleep_until(50)
        await world.send()
        await asyncio.sleep(20)
        assert record_of(*world.broker.events).safe_at == first.safe_at


@in_virtual_time
async def test_a_worker_that_only_takes_out_of_service_reports_it_too() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.send()
        assert window(await world.until(Outcome.out_of_service)) == 95


@in_virtual_time
async def test_what_was_never_taken_out_is_safe_at_no_time() -> None:
    async with World() as world:
        await world.send()
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.not_registered]
        assert [event.safe_at for event in world.broker.events] == [None]
