"""Whose override is it: what was out without us stays out, and what we took out is not left out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.domain.events import Outcome, make_event
from controller.domain.instances import DOWN, OUT_OF_SERVICE
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.reason import ReasonCode
from tests.fakes.client import FakeClient
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.restoring import going, restore
from tests.flows.test_whose import HEIR_IP, OUT, SHARED, UP, code_of
from tests.flows.world import APP, ID, World
from tests.unit.building import POD_IP, a_command, a_pod, a_progress, a_target, at, terminating


async def take_out_by_hand(world: World, instance_id: str = ID, *, status: str = OUT_OF_SERVICE) -> None:
    """Set the override at every node, as a person does, or a hook: not in the moment in which it registers."""
    await asyncio.sleep(2)
    for node in world.nodes:
        await node.put_status(APP, instance_id, status)


async def it_stays_out_for_the_next_one(world: World, own: FakeClient) -> None:
    """The drain finds it out before, its process ends, and the next one under the id is left out of service."""
    event = await world.until(Outcome.out_of_service)
    assert code_of(event) is ReasonCode.already_out
    own.die()
    newer = await world.process(ip=HEIR_IP)
    await asyncio.sleep(600)
    assert world.everywhere() == OUT
    newer.die()


@pytest.mark.parametrize("by_itself", [False, True], ids=["by a person", "by its own word"])
@in_virtual_time
async def test_what_was_out_before_the_drain_is_left_to_whoever_has_set_it(by_itself: bool) -> None:
    async with World() as world:
        own = await world.process(status=OUT_OF_SERVICE if by_itself else "UP")
        if not by_itself:
            await take_out_by_hand(world)
        await asyncio.sleep(10)
        await world.send(going())
        event = await world.until(Outcome.out_of_service)
        assert code_of(event) is ReasonCode.already_out
        own.die()
        await world.end()
        await asyncio.sleep(5)
        newer = await world.process(ip=HEIR_IP)
        await asyncio.sleep(600)
        assert world.everywhere() == OUT
        ledger = Ledger()
        assert [ledger.apply(entry) for entry in world.broker.entries] == [None] * len(world.broker.entries)
        assert Outcome.restored not in world.broker.outcomes
        newer.die()


@pytest.mark.parametrize("status", [DOWN, "STARTING"])
@pytest.mark.parametrize("says", ["UP", "STARTING"])
@in_virtual_time
async def test_every_status_that_a_person_has_set_before_stays(status: str, says: str) -> None:
    async with World() as world:
        first = await world.process()
        await take_out_by_hand(world, status=status)
        await asyncio.sleep(10)
        first.die()
        own = await world.process(status=says)
        await asyncio.sleep(120)
        await world.send(going())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        own.die()
        await world.end()
        newer = await world.process(ip=HEIR_IP)
        await asyncio.sleep(600)
        assert world.everywhere() == [status, status]
        newer.die()


@in_virtual_time
async def test_a_young_registration_under_a_persons_override_is_not_ours() -> None:
    async with World() as world:
        first = await world.process()
        await take_out_by_hand(world)
        await asyncio.sleep(60)
        first.die()
        own = await world.process()
        await asyncio.sleep(2)
        await world.send(going())
        await it_stays_out_for_the_next_one(world, own)


@in_virtual_time
async def test_what_its_hook_made_the_application_say_ends_with_it() -> None:
    async with World() as world:
        own = await world.process(status="STARTING")
        await asyncio.sleep(100)
        command = going()
        own.die()
        own = await world.process(status=OUT_OF_SERVICE)  # a client registers anew when its status changes
        await asyncio.sleep(5)
        await world.send(command)
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        assert world.everywhere() == OUT
        own.die()
        await world.end()
        newer = await world.process(ip=HEIR_IP)
        await world.until(Outcome.restored)
        assert world.everywhere() == UP
        newer.die()


@pytest.mark.parametrize("status", [OUT_OF_SERVICE, DOWN])
@pytest.mark.parametrize("late", [0.0, 10.0], ids=["before our look", "after our write"])
@in_virtual_time
async def test_what_its_own_hook_took_out_does_not_keep_the_next_one_out(late: float, status: str) -> None:
    async with World() as world:
        own = await world.process()
        if late:
            await world.send()
            await world.until(Outcome.out_of_service)
            await asyncio.sleep(late)
        await take_out_by_hand(world, status=status)
        if not late:
            await world.send()
            await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        assert world.everywhere() == OUT
        own.die()
        newer = await world.process(ip=HEIR_IP)
        await world.until(Outcome.restored)
        assert world.everywhere() == UP
        assert Outcome.retrying not in world.broker.outcomes  # callers were never given it again
        newer.die()


@in_virtual_time
async def test_a_persons_override_is_left_also_by_a_handling_that_is_repeated() -> None:
    async with World(crash_at=2) as world:
        own = await world.process()
        await take_out_by_hand(world)
        await asyncio.sleep(120)
        going = terminating(a_pod(), asked_at=at(120))
        await world.send(a_command(going, observed_at=at(120), since_at=at(120), end_at=at(150)))
        await it_stays_out_for_the_next_one(world, own)
        assert world.consumer.restarts == 1


@in_virtual_time
async def test_an_override_is_never_without_a_drain_while_the_next_one_begins() -> None:
    async with World() as world:
        own = await world.process(APP, SHARED, host=POD_IP)
        await world.send()
        await world.until(Outcome.out_of_service)
        own.die()
        heir = await world.process(APP, SHARED, ip=HEIR_IP, host=HEIR_IP)
        going = terminating(a_pod("uid-2", name="orders-1", ip=HEIR_IP), asked_at=virtual_clock())
        theirs = a_command(going, drain_id="theirs", observed_at=virtual_clock(), since_at=virtual_clock())
        await world.broker.record(make_event(theirs, Outcome.requested, virtual_clock()))
        await asyncio.sleep(20)
        await world.send(theirs)
        await world.until(Outcome.out_of_service, count=2)
        heir.die()
        last = await world.process(APP, SHARED, ip="10.1.0.100", host="10.1.0.100")
        await asyncio.sleep(60)
        assert world.everywhere(APP, SHARED) == UP
        last.die()


@in_virtual_time
async def test_a_pod_that_takes_its_id_back_before_its_end_is_taken_out_again() -> None:
    async with World() as world:
        own = await world.process(APP, SHARED, host=POD_IP)
        await world.send(a_command(terminating(a_pod(), grace=300), end_at=at(300)))
        await world.until(Outcome.out_of_service)
        newer = await world.process(APP, SHARED, ip=HEIR_IP, host=HEIR_IP)
        await world.until(Outcome.restored)
        newer.die()
        await asyncio.sleep(30)
        again = await world.process(APP, SHARED, host=POD_IP)
        await world.until(Outcome.out_of_service, count=2)
        await asyncio.sleep(10)
        assert world.everywhere(APP, SHARED) == OUT
        own.die()
        again.die()
        await world.end()
        await world.until(Outcome.removed)


@in_virtual_time
async def test_what_another_handling_took_out_unknown_to_the_log_is_given_back() -> None:
    async with World() as world:
        own = await world.process()
        await take_out_by_hand(world)
        await world.send()
        await world.until(Outcome.out_of_service)
        own.die()
        await world.end()
        await asyncio.sleep(5)
        newer = await world.process(ip=HEIR_IP)
        await world.until(Outcome.restored)
        assert world.everywhere() == UP
        newer.die()


@pytest.mark.parametrize("step", [1, 2], ids=["in the same step", "in a later step"])
@in_virtual_time
async def test_a_handling_that_has_written_outlasts_one_that_leaves_it_alone(step: int) -> None:
    async with World() as world:
        await asyncio.sleep(60)
        newer = await world.process(ip=HEIR_IP)
        await take_out_by_hand(world)  # as the one that knows of it has done
        unknowing = a_progress(a_target(), step=1)
        knowing = a_progress(a_target(may_have_override=True), step=step)
        command = a_command(gone_at=at(30), end_proved=True)
        await world.send(replace(command, progress=unknowing))
        await world.until(Outcome.superseded)
        await world.send(replace(command, progress=knowing))
        await world.until(Outcome.restored)
        assert world.everywhere() == UP
        newer.die()


@in_virtual_time
async def test_what_a_person_lifts_and_the_drain_takes_out_is_given_back() -> None:
    async with World() as world:
        own = await world.process()
        await take_out_by_hand(world)
        await world.send()
        await world.until(Outcome.out_of_service)
        await world.put_back()
        await asyncio.sleep(30)
        assert world.everywhere() == OUT
        own.die()
        await world.end()
        newer = await world.process(ip=HEIR_IP)
        await world.until(Outcome.restored)
        assert world.everywhere() == UP
        newer.die()


@in_virtual_time
async def test_on_an_annotated_id_that_no_message_names_an_override_is_a_persons() -> None:
    async with World() as world:
        old = await world.process(APP, "orders-main")
        await take_out_by_hand(world, "orders-main")
        await asyncio.sleep(120)
        old.die()
        going = terminating(a_pod(annotations={"instance-id": "orders-main"}), asked_at=at(120))
        command = a_command(going, observed_at=at(120), since_at=at(120), end_at=at(150))
        newer = await world.process(APP, "orders-main", ip=HEIR_IP, host="orders-x")
        await world.send(command)
        # Whoever took it first has crashed before its first read.
        delivery = world.broker.queues["eu"].get_nowait()
        world.broker.queues["eu"].put_nowait(replace(delivery, redelivered=True))
        await world.until_idle()
        assert world.everywhere(APP, "orders-main") == OUT
        newer.die()


async def rolled_out(world: World) -> tuple[Pod, FakeClient]:
    """A StatefulSet's pod is drained and deregisters itself in order; its successor serves."""
    own = await world.process()
    await world.send()
    await world.until(Outcome.out_of_service)
    await asyncio.sleep(20)
    await own.shutdown()
    await world.end()
    await asyncio.sleep(90)
    heir = a_pod("uid-2", ip=HEIR_IP, created_at=virtual_clock())
    newer = await world.process(ip=HEIR_IP)
    await restore(world, heir)
    await world.until_idle()
    assert world.everywhere() == UP
    await asyncio.sleep(3600)
    return heir, newer


async def by_a_person(world: World, status: str = OUT_OF_SERVICE) -> None:
    for node in world.nodes:
        await node.put_status(APP, ID, status)


@pytest.mark.parametrize("remove", [False, True])
@in_virtual_time
async def test_a_watch_that_is_restarted_undoes_nobodys_override(remove: bool) -> None:
    async with World(remove=remove) as world:
        heir, newer = await rolled_out(world)
        await by_a_person(world)
        await asyncio.sleep(60)
        await restore(world, heir)  # RestoreDispatcher.log_read
        await asyncio.sleep(60)
        newer.die()
        assert world.everywhere() == OUT


@pytest.mark.parametrize("remove", [False, True])
@in_virtual_time
async def test_nor_does_the_next_drain(remove: bool) -> None:
    async with World(remove=remove) as world:
        heir, newer = await rolled_out(world)
        await by_a_person(world)
        await asyncio.sleep(120)
        await world.send(going(heir))
        await world.until(Outcome.out_of_service, count=2)
        newer.die()
        await asyncio.sleep(10)
        third = await world.process(ip="10.1.0.200")
        await restore(world, a_pod("uid-3", ip="10.1.0.200", created_at=virtual_clock()))
        await asyncio.sleep(120)
        third.die()
        assert world.everywhere() == OUT
