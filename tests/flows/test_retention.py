"""From out of service to gone: retention, heartbeats, and whatever comes back."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import timedelta

import pytest

from controller.domain.events import Outcome
from controller.domain.instances import OUT_OF_SERVICE
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import elapsed, in_virtual_time
from tests.flows.world import APP, ID, World, sleep_until
from tests.stack.waiting import until
from tests.unit.building import POD_IP, a_command, a_pod, terminating

OUT = [OUT_OF_SERVICE, OUT_OF_SERVICE]
GONE = [None, None]


@in_virtual_time
async def test_an_instance_that_is_out_is_deleted_everywhere_after_retention() -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await sleep_until(25)
        app.die()
        await sleep_until(25 + 300)
        assert world.everywhere() == OUT
        event = await world.until(Outcome.removed)
        assert world.everywhere() == GONE
        assert elapsed() < 30 + 300 + 45
        assert len(event.nodes) == 2
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.out_of_service, Outcome.removed]
        assert world.broker.dead == []


@pytest.mark.parametrize(("annotation", "least", "most"), [("0s", 36, 120), ("1m", 60, 150), ("1h", 3600, 3700)])
@in_virtual_time
async def test_a_pods_own_retention_counts_but_never_less_than_silence_takes(
    annotation: str, least: float, most: float
) -> None:
    async with World() as world:
        app = await world.process()
        pod = terminating(a_pod(annotations={"retention": annotation}))
        await world.send(a_command(pod))
        await world.until(Outcome.out_of_service)
        app.die()
        await world.until(Outcome.removed)
        assert least < elapsed() < most


@in_virtual_time
async def test_a_retention_longer_than_the_longest_delay_is_kept() -> None:
    async with World(retention=timedelta(hours=5)) as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await sleep_until(5 * 3600)
        assert world.everywhere() == OUT
        await world.until_idle()
        assert world.everywhere() == GONE


@in_virtual_time
async def test_a_live_heartbeat_postpones_the_deletion_for_as_long_as_it_beats() -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await sleep_until(2 * 3600)
        assert world.everywhere() == OUT
        assert not [request for request in world.registry.writes if request.startswith("DELETE")]
        assert world.broker.outcomes == [Outcome.out_of_service]
        app.die()
        await world.until(Outcome.removed)
        assert elapsed() < 2 * 3600 + 300 + 300 + 60
        assert world.everywhere() == GONE


@pytest.mark.parametrize("begins", [100, 345])
@in_virtual_time
async def test_while_no_node_takes_heartbeats_nobody_is_proved_silent(begins: float) -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await sleep_until(begins)
        for node in world.nodes:
            node.trouble = Trouble.down
        await sleep_until(603)
        for node in world.nodes:
            node.trouble = None
        await sleep_until(3600)
        assert world.everywhere() == OUT
        assert not [request for request in world.registry.writes if request.startswith("DELETE")]
        app.die()
        await world.until(Outcome.removed)
        await world.until_idle()
        assert world.everywhere() == GONE


@in_virtual_time
async def test_a_heartbeating_process_is_watched_and_put_back_when_forgotten() -> None:
    async with World() as world:
        own_name = "orders-7d9f8c-x2x4z"
        await world.process(host=own_name)
        await world.send(a_command(terminating(a_pod(name=own_name))))
        await world.until(Outcome.out_of_service)
        for minute in range(1, 10):
            await sleep_until(60 * minute)
            for node in world.nodes:
                await node.kill()
            for node in world.nodes:
                await node.start()
            assert world.everywhere() == GONE
            # Up to 30 s until the next heartbeat, and 10 until the next look.
            await asyncio.sleep(45)
            assert world.everywhere() == OUT
        assert max(world.broker.waits) <= 10


@in_virtual_time
async def test_an_override_that_was_lifted_is_put_back() -> None:
    async with World() as world:
        await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await sleep_until(22)
        await world.nodes[0].delete_status(APP, ID, "UP")
        await asyncio.sleep(1)
        assert world.everywhere() == ["UP", "UP"]
        retrying = await world.until(Outcome.retrying)
        assert re.fullmatch(r"it was back in service until [\d:]{8}Z", str(retrying.reason))
        assert world.everywhere() == OUT


@in_virtual_time
async def test_an_override_that_only_one_restarted_node_lost_is_put_back_there() -> None:
    async with World() as world:
        await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await sleep_until(10)
        await world.nodes[1].kill()
        world.nodes[1].trouble = None
        await world.nodes[1].register(APP, ID, ip=POD_IP, host="orders-0")
        assert world.nodes[1].held(APP, ID) is not None
        await sleep_until(120)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_an_app_that_deregisters_itself_after_it_was_out_needs_no_delete() -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await app.shutdown()
        await world.until_idle()
        assert world.everywhere() == GONE
        assert world.broker.outcomes[0] is Outcome.out_of_service
        assert world.broker.outcomes[1:] in ([Outcome.already_gone], [Outcome.removed])
        assert not [request for request in world.registry.writes if request.startswith("DELETE")]


@in_virtual_time
async def test_an_instance_that_replication_brings_back_is_deleted_again() -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await until(lambda: world.everywhere() == GONE, "deleted", timeout=3600)
        await world.nodes[1].register(APP, ID, ip=POD_IP, host="orders-0", status=OUT_OF_SERVICE)
        await world.until(Outcome.removed)
        await world.until_idle()
        assert world.everywhere() == GONE
        assert world.broker.outcomes[-1] is Outcome.removed


@in_virtual_time
async def test_a_node_that_was_down_at_the_delete_is_retried_until_it_is_gone() -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await sleep_until(200)
        world.nodes[1].trouble = Trouble.down
        await sleep_until(900)
        assert Outcome.removed not in world.broker.outcomes
        assert world.nodes[1].held(APP, ID) is not None
        world.nodes[1].trouble = None
        await world.until(Outcome.removed)
        assert elapsed() < 900 + 60
        assert world.everywhere() == GONE


@pytest.mark.parametrize(
    "successor",
    [{"ip": "10.1.0.99", "host": "orders-0"}, {"ip": POD_IP, "host": "orders-0"}, {"ip": "10.1.0.99", "host": "other"}],
    ids=["same name, new address", "same name and address", "only the same id"],
)
@pytest.mark.parametrize("status", ["UP", "STARTING"])
@in_virtual_time
async def test_a_new_process_that_takes_over_the_id_serves_again_for_good(
    successor: dict[str, str], status: str
) -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await world.end()
        await sleep_until(100)
        before = Counter(world.registry.writes)
        newer = await world.process(APP, ID, status=status, **successor)
        if status == "STARTING":
            await asyncio.sleep(120)
            assert set(world.everywhere()) == {"STARTING"}
            assert Counter(world.registry.writes) == before, "lifted before it said UP"
            await world.nodes[0].register(APP, ID, ip=successor["ip"], host=successor["host"])
        await world.until(Outcome.restored)
        assert set(world.everywhere()) == {"UP"}
        await world.until_idle()
        await asyncio.sleep(600)
        assert set(world.everywhere()) == {"UP"}
        assert world.broker.outcomes == [Outcome.out_of_service, Outcome.restored]
        later = Counter(world.registry.writes) - before
        assert {write.rpartition("/")[2] for write in later} == {"status?value=UP"}
        newer.die()


@in_virtual_time
async def test_a_node_that_was_away_while_the_override_was_lifted_is_followed_up() -> None:
    async with World() as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await sleep_until(100)
        newer = await world.process(APP, ID, ip="10.1.0.99")
        world.nodes[1].pause()
        await asyncio.sleep(120)
        assert Outcome.restored not in world.broker.outcomes
        world.nodes[1].resume()
        await world.until(Outcome.restored)
        assert set(world.everywhere()) == {"UP"}
        newer.die()
