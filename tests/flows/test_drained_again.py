"""One pod that is drained more than once: its node is lost and comes back, or a person asks again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, make_restore
from controller.domain.events import Outcome
from controller.domain.guard_policy import GuardPolicy
from controller.domain.instances import OUT_OF_SERVICE
from controller.domain.reason import ReasonCode
from controller.domain.shutdown.verdict import ShutdownVerdict, shutdown_of
from controller.domain.watch_position import Position
from controller.flows.handler_result import Ack
from controller.flows.ports import Removed
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.restoring import going, ledger_of
from tests.flows.test_whose import SHARED
from tests.flows.watching import watching
from tests.flows.world import APP, ID, World
from tests.unit.building import POD_IP, a_command, a_pod, a_progress, a_target, at, terminating
from tests.unit.shutdowns import an_end, record_of

OUT = [OUT_OF_SERVICE] * 2


def node_lost() -> DrainCommand:
    """What the watch sends when the pod's node is lost now."""
    now = virtual_clock()
    pod = replace(a_pod(), unready_at=now)
    return a_command(pod, cause=Cause.node_lost, observed_at=now, since_at=now, end_at=now)


async def node_is_back(world: World) -> None:
    """What the watch sends then."""
    held = tuple(ledger_of(world).held_by(a_command().drain_id, "eu"))
    await world.send(make_restore("test", "eu", a_pod(), held, virtual_clock()))


async def lost_and_back(world: World) -> None:
    """The pod's node is lost, and comes back; its instance serves again."""
    await world.send(node_lost())
    await world.until(Outcome.out_of_service)
    await asyncio.sleep(100)
    await node_is_back(world)
    await world.until(Outcome.restored)
    await asyncio.sleep(1800)


@pytest.mark.parametrize("remove", [True, False])
@in_virtual_time
async def test_what_a_person_drained_stays_out_when_its_node_comes_back(remove: bool) -> None:
    async with World(remove=remove, guard=GuardPolicy(last_instance=False)) as world:
        await world.process()
        now = virtual_clock()
        asked = a_command(drain_id="by-hand", cause=Cause.asked, requested_by="ann", requested_at=now, observed_at=now)
        await world.send(replace(asked, since_at=now, end_at=now + timedelta(days=3650)))
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(60)
        await world.send(node_lost())
        await world.until(Outcome.out_of_service, count=2)
        await asyncio.sleep(100)
        await node_is_back(world)
        for _ in range(60):
            await asyncio.sleep(1)
            assert world.everywhere() == OUT


@pytest.mark.parametrize("instance_id", [ID, SHARED])
@in_virtual_time
async def test_a_pod_whose_node_came_back_is_drained_when_it_goes(instance_id: str) -> None:
    async with World() as world:
        own = await world.process(APP, instance_id, host=POD_IP if instance_id == SHARED else "orders-0")
        await lost_and_back(world)
        assert world.everywhere(APP, instance_id) == ["UP", "UP"]
        now = virtual_clock()
        going = terminating(a_pod(), asked_at=now)
        await world.send(a_command(going, observed_at=now, since_at=now, end_at=now + timedelta(seconds=30)))
        await asyncio.sleep(5)
        assert world.everywhere(APP, instance_id) == OUT
        own.die()
        await world.end()
        await asyncio.sleep(1200)
        assert world.everywhere(APP, instance_id) == [None, None]


@in_virtual_time
async def test_a_pod_whose_node_is_lost_twice_is_out_twice() -> None:
    async with World() as world:
        own = await world.process()
        await lost_and_back(world)
        own.die()
        await world.send(node_lost())
        await asyncio.sleep(20)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_a_person_who_asks_again_is_answered_again() -> None:
    async with World() as world:
        await world.process("OTHER", "somebody-else", host="elsewhere", port=9999)
        pod = terminating(a_pod(declares_ports=True))
        await world.send(a_command(pod))
        await world.until(Outcome.refused)
        await asyncio.sleep(300)
        now = virtual_clock()
        await world.send(a_command(pod, observed_at=now, requested_by="ann", requested_at=now, gone_at=now))
        await asyncio.sleep(300)
        assert [event.outcome for event in world.broker.events if event.requested_at == now] == [Outcome.refused]


@in_virtual_time
async def test_a_pod_that_was_put_back_and_goes_unwatched_is_drained() -> None:
    async with watching() as stage:
        lost = a_command(a_pod(), cause=Cause.node_lost)
        stage.ledger.apply(stage.an_event(Outcome.out_of_service, command=lost, target=a_target()))
        await asyncio.sleep(60)
        stage.ledger.apply(stage.an_event(Outcome.restored, command=lost, target=a_target()))
        await asyncio.sleep(3600)
        stage.feed.removed = (Removed(pod=a_pod()),)
        stage.parts.positions.apply(Position(cluster="test", at=at(3600), versions={"": "7"}))
        stage.feed.lists()
        await asyncio.sleep(1)
        assert stage.sent == [("orders-0", "eu", Cause.deleted)]


@in_virtual_time
async def test_a_lost_command_of_its_second_drain_is_sent_again() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod())
        await asyncio.sleep(1)
        stage.feed.changes(replace(a_pod(), disruption="DeletionByTaintManager", unready_at=virtual_clock()))
        await asyncio.sleep(1)
        (command,) = stage.broker.sent
        await stage.broker.record(stage.an_event(Outcome.out_of_service, command=command, target=a_target()))
        await asyncio.sleep(60)
        stage.feed.changes(a_pod())
        await stage.broker.record(stage.an_event(Outcome.restored, command=command, target=a_target()))
        await asyncio.sleep(3600)
        stage.feed.changes(terminating(a_pod(), asked_at=virtual_clock()))
        await asyncio.sleep(60)  # its queue was deleted with it: nobody answers
        assert [cause for _, _, cause in stage.sent].count(Cause.terminating) > 1


@in_virtual_time
async def test_a_node_that_shuts_down_twice_is_drained_twice() -> None:
    async def shuts_down() -> None:
        now = virtual_clock()
        await world.send(a_command(a_pod(), cause=Cause.node_shutdown, observed_at=now, since_at=now, end_at=now))

    async with World() as world:
        own = await world.process()
        await shuts_down()
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(100)
        await node_is_back(world)
        await world.until(Outcome.restored)
        await asyncio.sleep(1800)
        await shuts_down()
        await asyncio.sleep(60)
        own.die()
        assert world.everywhere() == OUT


@in_virtual_time
async def test_a_refusal_of_its_second_drain_is_recorded() -> None:
    async with World() as world:
        own = await world.process()
        await lost_and_back(world)
        other = await world.process("OTHER", ID, ip="10.9.9.9", host="stranger")
        await asyncio.sleep(60)
        own.die()
        await world.send(going())
        await asyncio.sleep(5)
        await world.end()
        await world.until_idle()
        other.die()
        assert Outcome.refused in world.broker.outcomes


@in_virtual_time
async def test_the_verdict_goes_by_the_last_time_it_was_taken_out() -> None:
    async with World() as world:
        own = await world.process()
        await lost_and_back(world)
        await world.send(going())
        event = await world.until(Outcome.out_of_service, count=2)
        own.die()
        record = record_of(*world.broker.events)
        record.end = an_end(elapsed() + 5)  # 90 s before the last caller has done with it
        assert (record.safe_at, shutdown_of(record).verdict) == (event.safe_at, ShutdownVerdict.not_graceful)


@in_virtual_time
async def test_a_crash_after_its_node_came_back_does_not_take_it_out() -> None:
    async with World() as world:
        await world.process()
        await world.send(node_lost())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(100)
        await node_is_back(world)
        await world.until(Outcome.restored)
        await asyncio.sleep(3.5)  # the restore is acknowledged; the drain still waits for its next look
        world.crashes.crash_next()
        for _ in range(120):
            await asyncio.sleep(1)
            assert world.everywhere() == ["UP", "UP"]


@in_virtual_time
async def test_a_crash_in_its_second_drain_does_not_lose_it() -> None:
    async with World() as world:
        own = await world.process()
        await lost_and_back(world)
        own.die()
        await world.send(node_lost())
        world.crashes.crash_next()
        await asyncio.sleep(60)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_a_drain_that_is_given_up_twice_has_failed() -> None:
    async with World(give_up_after=timedelta(minutes=5)) as world:
        await world.process()
        for failures in (1, 2):
            for node in world.nodes:
                node.nonsense_about = APP
            await world.send(node_lost() if failures == 1 else going())
            await world.until(Outcome.failed, count=failures)
            for node in world.nodes:
                node.nonsense_about = ""
            if failures == 1:
                await lost_and_back(world)
        assert record_of(*world.broker.events).state is Outcome.failed


@in_virtual_time
async def test_what_holds_up_a_second_drain_is_its_state() -> None:
    async with World() as world:
        await world.process()
        await lost_and_back(world)
        world.nodes[1].trouble = Trouble.down
        await world.send(going())
        await world.until(Outcome.retrying)
        record = record_of(*world.broker.events)
        assert (record.state, record.reason and record.reason.code) == (Outcome.retrying, ReasonCode.unreachable)
        assert record.safe_at is None, "it is given to callers again"
        world.nodes[1].trouble = None
        event = await world.until(Outcome.out_of_service, count=2)
        assert record_of(*world.broker.events).safe_at == event.safe_at


@in_virtual_time
async def test_the_steps_of_a_command_that_comes_again_are_new_ones() -> None:
    async with World() as world:
        await world.process()
        worker = world.start_worker()
        step = replace(a_command(), progress=a_progress(a_target(), step=2, found_all=True, found=((APP, ID),)))
        assert await worker.handle(step, redelivered=False) != (Ack(),)
        assert await worker.handle(step, redelivered=False) == (Ack(),), "the same step, published twice"
        assert step.progress is not None
        again = replace(step, progress=replace(step.progress, first_at=at(1)))
        assert await worker.handle(again, redelivered=False) != (Ack(),)
