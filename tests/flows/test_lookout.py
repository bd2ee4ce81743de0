"""Many drains at a time are watched over together: each is woken when something has become of its instance."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from controller.domain.commands import Stage
from controller.domain.events import Outcome
from controller.domain.instances import OUT_OF_SERVICE
from tests.fakes.client import FakeClient
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import elapsed, in_virtual_time
from tests.flows.crowd import ask_to_go, id_of, ip_of, name_of, register, requests_about
from tests.flows.world import APP, World, sleep_until
from tests.stack.waiting import until
from tests.unit.building import NODES, a_command, a_pod, a_progress, a_target, at, terminating

OUT = [OUT_OF_SERVICE, OUT_OF_SERVICE]
GRACE = 3600
"""Seconds: the processes live on for as long as a test lasts."""
MANY = 100


async def go(world: World, numbers: range) -> list[FakeClient]:
    """Let processes register, ask their pods to go, and wait until all are out."""
    processes = await register(world, numbers)
    await asyncio.sleep(40)  # until no cached list is older
    await ask_to_go(world, numbers, grace=GRACE)
    await until(lambda: are_out(world, numbers), "all out", timeout=60, interval=0.5)
    return processes


def are_out(world: World, numbers: range) -> bool:
    """Whether no node gives any of them to callers."""
    return all(world.everywhere(APP, id_of(number)) == OUT for number in numbers)


@in_virtual_time
async def test_many_are_all_put_back_out_when_their_nodes_have_forgotten_them() -> None:
    async with World() as world:
        numbers = range(MANY)
        await go(world, numbers)
        for minute in (2, 5):
            await sleep_until(60 * minute)
            for node in world.nodes:
                await node.kill()
            for node in world.nodes:
                await node.start()
            # Up to 30 s until the next heartbeat; then as soon as when each had looked for itself every 10 s.
            await asyncio.sleep(45)
            assert are_out(world, numbers)
            await asyncio.sleep(30)
            assert are_out(world, numbers)


@in_virtual_time
async def test_a_node_that_forgets_alone_is_found_by_the_first_one_that_is_read() -> None:
    async with World() as world:
        numbers = range(MANY)
        await go(world, numbers)
        await sleep_until(120)
        await world.nodes[1].kill()
        world.nodes[1].trouble = None
        for number in numbers:
            await world.nodes[1].register(APP, id_of(number), ip=ip_of(number), host=name_of(number))
        begun = elapsed()
        await until(lambda: are_out(world, numbers), "all out again", timeout=60, interval=0.5)
        assert elapsed() - begun < 15


@in_virtual_time
async def test_one_of_many_silent_ones_that_serves_again_is_shown_by_the_lists() -> None:
    async with World(keeps_index=True) as world:
        for process in await go(world, range(MANY)):
            process.die()
        await sleep_until(130)
        lifted = MANY // 2
        await world.nodes[0].delete_status(APP, id_of(lifted), "UP")
        await asyncio.sleep(1)
        assert world.everywhere(APP, id_of(lifted)) == ["UP", "UP"]
        begun = elapsed()
        await until(lambda: world.everywhere(APP, id_of(lifted)) == OUT, "out again", timeout=600, interval=0.5)
        assert elapsed() - begun < 30 + 15 + 5, "a cached list, the index, and what the nodes tell each other"


@pytest.mark.parametrize(("count", "most"), [(1, 17), (MANY, 11)], ids=["one", "many"])
@in_virtual_time
async def test_the_more_go_the_fewer_looks_each_takes(count: int, most: int) -> None:
    async with World() as world:
        processes = await go(world, range(count))
        await asyncio.sleep(25)
        for process in processes:
            process.die()
        await until(lambda: world.broker.idle, "all removed", timeout=2 * GRACE, interval=5)
        assert world.broker.outcomes.count(Outcome.removed) == count
        # While it may run it is looked at every two minutes, however long that is.
        assert len(requests_about(world, range(count))) / count < most + GRACE / 120


@in_virtual_time
async def test_while_a_node_is_away_each_drain_looks_for_itself() -> None:
    async with World() as world:
        numbers = range(3)
        await go(world, numbers)
        await sleep_until(100)
        world.nodes[1].trouble = Trouble.down
        await sleep_until(300)
        world.nodes[1].trouble = None
        await asyncio.sleep(120)
        before = len(requests_about(world, numbers))
        await asyncio.sleep(600)
        assert are_out(world, numbers)
        assert len(requests_about(world, numbers)) - before < 600 / 2 + 3 * 600 / 35, "it is watched over again"


@in_virtual_time
async def test_an_outage_of_every_node_between_two_looks_proves_nobody_silent() -> None:
    async with World(retention=timedelta(0)) as world:
        numbers = range(MANY)
        await go(world, numbers)
        for outage in range(40):
            await sleep_until(120 + 47 * outage)
            for node in world.nodes:
                node.trouble = Trouble.down
            await asyncio.sleep(12)
            for node in world.nodes:
                node.trouble = None
        assert are_out(world, numbers)
        assert not [request for request in world.registry.writes if request.startswith("DELETE")], "they live"


@pytest.mark.parametrize("ends_after", [2, 8, 20])
@pytest.mark.parametrize("others", [0, MANY], ids=["alone", "among many"])
@in_virtual_time
async def test_who_has_the_same_id_is_given_back_however_soon_the_pod_ended(ends_after: float, others: int) -> None:
    async with World() as world:
        await register(world, range(others))
        twin = await world.process(ip="10.2.0.5")
        own = await world.process()
        await sleep_until(40)
        await world.send(
            a_command(terminating(a_pod(), asked_at=at(40)), observed_at=at(40), since_at=at(40), end_at=at(70))
        )
        await ask_to_go(world, range(others), grace=GRACE)
        await world.until(Outcome.out_of_service)
        await sleep_until(40 + ends_after)
        own.die()
        await world.end()
        # Two heartbeats after the pod's end, and the look at the second one.
        await until(lambda: world.everywhere() == ["UP", "UP"], "its twin", timeout=90, interval=1)
        twin.die()


@in_virtual_time
async def test_without_lists_each_drain_looks_for_itself() -> None:
    async with World(keeps_index=True) as world:
        for process in await go(world, range(MANY)):
            process.die()
        await sleep_until(145)
        for node in world.nodes:
            node.trouble = Trouble.cut_list
        await sleep_until(205)
        lifted = id_of(MANY // 2)
        await world.nodes[0].delete_status(APP, lifted, "UP")
        await asyncio.sleep(1)
        # It is proved silent: then once in a renewal interval is enough.
        await until(lambda: world.everywhere(APP, lifted) == OUT, "out again", timeout=36, interval=0.5)


@in_virtual_time
async def test_one_that_is_away_leaves_the_others_restart_no_secret() -> None:
    async with World() as world:
        numbers = range(MANY)
        await go(world, numbers)
        await sleep_until(120)
        world.nodes[1].trouble = Trouble.down
        await asyncio.sleep(4)
        await world.nodes[0].kill()
        await world.nodes[0].start()
        for number in numbers:
            await world.nodes[0].register(APP, id_of(number), ip=ip_of(number), host=name_of(number))

        def are_out_here() -> bool:
            return all(world.everywhere(APP, id_of(number))[0] == OUT_OF_SERVICE for number in numbers)

        await until(are_out_here, "all out at the node that answers", timeout=15, interval=0.5)


@in_virtual_time
async def test_without_removal_a_drain_ends_where_only_one_node_is_heartbeaten() -> None:
    async with World(remove=False) as world:
        own = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await world.end()
        for node in world.nodes:
            node.replication = None
        await until(lambda: world.broker.idle, "the drain over", timeout=2 * 3600, interval=5)
        own.die()


@in_virtual_time
async def test_what_differs_for_good_wakes_its_drain_every_ten_seconds() -> None:
    async with World() as world:
        lookout = world.start_worker().lookout
        running = asyncio.create_task(lookout.run())
        # It was seen at three nodes, and is at none by now.
        seen = {node: at(0) for node in NODES}
        target = a_target(stage=Stage.retain, renewals=seen, silent_since=at(0), due_at=at(35))
        for _ in range(3):
            lookout.note_look(target)
            looked_at = elapsed()
            with lookout.over(a_command(progress=a_progress(target))) as sooner:
                await asyncio.wait_for(sooner.wait(), 60)
                assert lookout.has_moved(target)
            assert 10 <= elapsed() - looked_at <= 16
        running.cancel()
