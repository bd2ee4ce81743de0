"""A new pod under a drained id: the watch sends a command, the worker waits and lifts; and what may not be lifted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import RestoreCommand, make_restore
from controller.domain.events import Outcome, make_event, make_gone_event
from controller.domain.held_instances import HeldInstance
from tests.fakes.client import FakeClient
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.flows.restoring import going, restore
from tests.flows.watching import GOING, watching
from tests.flows.world import APP, ID, REPLICATED, World
from tests.unit.building import POD_IP, a_command, a_pod, a_target, at, terminating

HEIR_IP = "10.1.0.99"


def heir(**facts: Any) -> Any:
    return a_pod("uid-2", **{"ip": HEIR_IP, "created_at": virtual_clock(), **facts})


def item(**facts: Any) -> RestoreCommand:
    held = HeldInstance(
        drain_id=a_command().drain_id,
        region="eu",
        app=APP,
        id=ID,
        cause=Cause.terminating,
        namespace="shop",
        pod="orders-0",
        uid="uid-1",
        ip=POD_IP,
        since_at=at(0),
        out_at=at(1),
    )
    return make_restore("test", "eu", heir(**facts), (held,), virtual_clock())


@in_virtual_time
async def test_a_successor_serves_seconds_after_it_is_up_and_the_drain_ends() -> None:
    async with World() as world:
        old = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        old.die()
        await asyncio.sleep(40)
        await world.send(item())
        await asyncio.sleep(20)
        assert world.everywhere() == ["OUT_OF_SERVICE", "OUT_OF_SERVICE"], "nobody has come yet"
        await world.process(ip=HEIR_IP, status="STARTING")
        await asyncio.sleep(10)
        assert world.everywhere() == ["STARTING", "STARTING"]
        await world.process(ip=HEIR_IP)
        await asyncio.sleep(3)
        assert world.everywhere() == ["UP", "UP"]
        await world.until_idle()
        assert world.everywhere() == ["UP", "UP"]
        assert set(world.broker.outcomes) == {Outcome.out_of_service, Outcome.restored}
        assert len({entry.event_id for entry in world.broker.entries}) == 3


@in_virtual_time
async def test_what_waited_at_a_worker_that_died_says_that_it_was_given_back() -> None:
    async with World() as world:
        old = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        old.die()
        await asyncio.sleep(12)
        newer = await world.process(ip=HEIR_IP)
        await world.put_back()  # as a restore does, which has not said so yet
        world.crashes.crash_next()
        await world.until_idle()
        assert world.consumer.restarts == 1
        assert world.everywhere() == ["UP", "UP"]
        assert world.broker.outcomes == [Outcome.out_of_service, Outcome.restored]
        newer.die()


@pytest.mark.parametrize("left_alone", [False, True], ids=["", "left alone by another handling"])
@in_virtual_time
async def test_a_quick_heir_of_the_address_is_not_drained_while_a_node_is_away(left_alone: bool) -> None:
    async with World() as world:
        old = await world.process(host=POD_IP)
        await world.send()
        await world.until(Outcome.out_of_service)
        if left_alone:
            target = a_target()
            await world.broker.record(make_event(a_command(), Outcome.superseded, virtual_clock(), target=target))
        old.die()
        await asyncio.sleep(1)
        world.nodes[1].pause()
        await world.send(item(ip=POD_IP, name="orders-x", hostname="orders-x"))
        await asyncio.sleep(1)
        await world.process(host=POD_IP)
        await asyncio.sleep(4)
        for _ in range(60):
            await asyncio.sleep(1)
            assert world.everywhere()[0] == "UP"
        world.nodes[1].resume()
        await asyncio.sleep(40)
        assert world.everywhere() == ["UP", "UP"]
        await world.until_idle()
        assert world.everywhere() == ["UP", "UP"]


@in_virtual_time
async def test_a_restore_is_void_once_the_new_pod_goes_itself() -> None:
    async with World() as world:
        old = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        old.die()
        await asyncio.sleep(40)
        await world.send(item())
        await world.process(ip=HEIR_IP, status="STARTING")
        dying = terminating(heir(annotations={"instance-id": ID}), asked_at=virtual_clock())
        asked = a_command(dying, drain_id="theirs", since_at=virtual_clock(), end_at=dying.deletion_at)
        await world.broker.record(world.an_event(asked, Outcome.requested))
        await world.process(ip=HEIR_IP)
        await world.send(asked)
        for _ in range(60):
            await asyncio.sleep(1)
            assert "UP" not in world.everywhere()


@in_virtual_time
async def test_an_override_that_the_log_does_not_know_is_kept() -> None:
    async with watching() as stage:
        stage.feed.lists(a_pod(), heir())
        await asyncio.sleep(60)
        assert stage.broker.restores == []


@in_virtual_time
async def test_one_command_is_sent_whether_pod_or_evidence_comes_first() -> None:
    for pod_first in (True, False):
        async with watching() as stage:
            stage.feed.lists(GOING)
            await asyncio.sleep(1)
            proof = stage.an_event(Outcome.out_of_service, target=a_target())
            if pod_first:
                stage.feed.changes(heir())
                await asyncio.sleep(1)
                assert stage.broker.restores == []
                await stage.broker.record(proof)
            else:
                await stage.broker.record(proof)
                stage.feed.changes(heir())
            await asyncio.sleep(1)
            stage.feed.changes(heir(phase="Pending"))
            await asyncio.sleep(10)
            [restore] = stage.broker.restores
            assert (restore.pod.uid, [held.id for held in restore.held]) == ("uid-2", [ID])


@in_virtual_time
async def test_who_came_while_nobody_watched_is_found_when_the_log_has_been_read() -> None:
    async with watching() as stage:
        stage.ledger.apply(stage.an_event(Outcome.out_of_service, target=a_target()))
        stage.feed.lists(heir())
        await asyncio.sleep(1)
        stage.parts.restore_dispatcher.log_read()
        await asyncio.sleep(1)
        assert [restore.pod.uid for restore in stage.broker.restores] == ["uid-2"]


@in_virtual_time
async def test_a_watch_that_lags_sends_no_restore_for_a_pod_that_goes() -> None:
    async with watching() as stage:
        stage.feed.lists(heir())
        await asyncio.sleep(5)
        gone = a_command(terminating(heir()), drain_id="theirs", observed_at=virtual_clock())
        stage.ledger.apply(stage.an_event(Outcome.requested, command=gone))
        await stage.broker.record(stage.an_event(Outcome.out_of_service, target=a_target()))
        await asyncio.sleep(5)
        assert stage.broker.restores == []


@in_virtual_time
async def test_a_successor_whose_client_always_sends_the_same_time_serves_again() -> None:
    edge, where = {"name": "edge-x2k4q", "app_label": "orders", "host_network": True}, "192.168.0.4"
    async with World() as world:

        async def process() -> FakeClient:
            made = Unchanging(world.nodes[0], APP, "node-a:orders:8080", ip=where, host="node-a")
            await made.start()
            await asyncio.sleep(REPLICATED)
            return made

        old = await process()
        await asyncio.sleep(120)
        command = going(a_pod("uid-1", ip=where, **edge))
        await world.send(command)
        await world.until(Outcome.out_of_service)
        old.die()
        await world.broker.record(make_gone_event(command, virtual_clock(), virtual_clock(), proved=False))
        await asyncio.sleep(15)
        young = process()
        await restore(world, a_pod("uid-2", ip=where, created_at=virtual_clock(), **{**edge, "name": "edge-bbbbb"}))
        new = await young
        await asyncio.sleep(90)
        assert world.everywhere(APP, "node-a:orders:8080") == ["UP", "UP"]
        new.die()


class Unchanging(FakeClient):
    """A client whose `lastDirtyTimestamp` was written once, by whoever wrote its request."""

    async def _register(self, status: str) -> None:
        said = at(-(10**6))
        await self._node.register(
            self.app, self.id, ip=self._ip, host=self._host, port=self._port, status=status, dirty_at=said
        )
