"""Out of service at every node: at once where a node answers, later where it does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import Progress
from controller.domain.events import LogEntry, Outcome, make_event
from controller.domain.instances import OUT_OF_SERVICE, Condition
from tests.fakes.node_trouble import READ_TIMEOUT, Trouble
from tests.fakes.outbox import Refusal
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.restoring import going
from tests.flows.world import APP, ID, World
from tests.stack.waiting import until
from tests.unit.building import a_command, a_pod, a_target, terminating

OUT = [OUT_OF_SERVICE, OUT_OF_SERVICE]


@in_virtual_time
async def test_an_instance_is_out_at_every_node_at_once_and_the_event_shows_each() -> None:
    async with World() as world:
        await world.process()
        begun = elapsed()
        await world.send()
        event = await world.until(Outcome.out_of_service)
        assert elapsed() - begun < 0.15
        assert world.everywhere() == OUT
        assert [(reading.node, reading.condition) for reading in event.nodes] == [
            (node.url, Condition.out) for node in world.nodes
        ]
        assert (event.app, event.instance_id, event.attempt) == (APP, ID, 1)


UNNAMED = "pay-main"


@in_virtual_time
async def test_an_id_that_names_no_pod_waits_for_no_log_and_for_no_sibling() -> None:
    async with World(reads_log=False) as world:
        world.broker.log_refusal = Refusal.lost
        await world.process()
        await world.process("PAY", UNNAMED, port=8081)
        begun = elapsed()
        await world.send()
        await until(lambda: world.everywhere("PAY", UNNAMED) == OUT, "out", interval=0.01)
        assert elapsed() - begun < 0.5


@in_virtual_time
async def test_an_id_that_names_no_pod_is_out_with_its_named_sibling() -> None:
    async with World() as world:
        await world.process()
        await world.process("PAY", UNNAMED, port=8081)
        world.nodes[1].trouble = Trouble.frozen
        await world.send()
        await until(lambda: world.everywhere()[0] == OUT_OF_SERVICE, "its sibling out", interval=0.01)
        begun = elapsed()
        await until(lambda: world.everywhere("PAY", UNNAMED)[0] == OUT_OF_SERVICE, "out", interval=0.01)
        assert elapsed() - begun < 0.5


@in_virtual_time
async def test_a_node_that_is_down_is_retried_and_the_other_is_drained_at_once() -> None:
    async with World() as world:
        await world.process()
        world.nodes[1].trouble = Trouble.down
        await world.send()
        await asyncio.sleep(1)
        assert world.everywhere() == [OUT_OF_SERVICE, "UP"]
        trouble = await world.until(Outcome.retrying)
        assert "unreachable" in str(trouble.reason)
        assert world.nodes[1].url in str(trouble.reason)
        await asyncio.sleep(120)
        world.nodes[1].trouble = None
        mended = elapsed()
        await world.until(Outcome.out_of_service)
        assert elapsed() - mended < 16
        assert world.everywhere() == OUT
        assert world.broker.outcomes == [Outcome.retrying, Outcome.out_of_service]
        assert world.observer.retries["eu"] >= 5


@in_virtual_time
async def test_a_node_that_is_down_is_asked_after_1_2_4_8_then_every_15_seconds() -> None:
    async with World() as world:
        await world.process()
        world.nodes[1].trouble = Trouble.down
        await world.send()
        await asyncio.sleep(70)
        assert [round(seconds) for seconds in world.broker.waits[:6]] == [1, 2, 4, 8, 15, 15]


@in_virtual_time
async def test_a_frozen_node_does_not_hold_up_the_other() -> None:
    async with World() as world:
        await world.process()
        world.nodes[0].pause()
        await world.send()
        await asyncio.sleep(2 * READ_TIMEOUT + 0.5)
        assert world.everywhere() == ["UP", OUT_OF_SERVICE]
        world.nodes[0].resume()
        await world.until(Outcome.out_of_service)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_nothing_is_left_to_replication() -> None:
    async with World() as world:
        await world.process()
        for node in world.nodes:
            node.replication = None
        await world.send()
        await world.until(Outcome.out_of_service)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_an_app_that_is_out_of_service_by_itself_gets_an_override_too() -> None:
    async with World() as world:
        app = await world.process(status=OUT_OF_SERVICE)
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await world.nodes[0].register(APP, ID, ip="10.1.0.7", host="orders-0", status="UP")
        await asyncio.sleep(1)
        assert world.everywhere() == OUT


@in_virtual_time
async def test_an_app_that_deregistered_while_a_cache_still_shows_it_is_gone() -> None:
    async with World() as world:
        app = await world.process()
        for node in world.nodes:
            node.cached()
        await app.shutdown()
        await asyncio.sleep(1)
        await world.send()
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.already_gone]
        assert world.registry.writes == []
        assert world.everywhere() == [None, None]


@in_virtual_time
async def test_a_duplicate_command_changes_nothing() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.send()
        await world.until_idle()
        await world.send()
        await world.send()
        await world.until_idle()
        assert len(world.registry.writes) == len(world.nodes)
        assert world.broker.outcomes == [Outcome.out_of_service]


@in_virtual_time
async def test_a_redelivered_command_is_handled_again_and_repeats_its_event() -> None:
    async with World(remove=False) as world:
        await world.process()
        handle = world.start_worker().handle
        await handle(a_command(), False)
        before = list(world.registry.writes)
        await handle(a_command(), True)
        assert world.registry.writes == before
        assert len({event.event_id for event in world.broker.events}) == 1
        assert len(world.broker.events) == 2


@in_virtual_time
async def test_an_old_command_that_has_written_is_seen_through() -> None:
    async with World() as world:
        await world.end()
        await asyncio.sleep(60)
        await world.process()  # somebody else's by now
        await asyncio.sleep(60)
        await world.broker.record(make_event(a_command(), Outcome.restored, virtual_clock(), target=a_target()))
        await asyncio.sleep(600)
        now = virtual_clock()
        await world.registry.take_out(APP, ID, await world.registry.read(APP, ID))
        targets, found = (a_target(due_at=now, may_have_override=True),), ((APP, ID),)
        progress = Progress(first_at=now, due_at=now, first_look_at=now, found=found, targets=targets)
        await world.send(a_command(progress=progress))
        await world.until_idle()
        assert world.everywhere() == ["UP", "UP"]


@in_virtual_time
async def test_a_later_cause_of_the_same_drain_is_handled_too() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.send()
        await world.until_idle()
        await world.nodes[0].delete_status(APP, ID, "UP")
        await asyncio.sleep(1)
        await world.send(a_command(cause=Cause.deleted))
        await world.until_idle()
        assert world.everywhere() == OUT


@pytest.mark.parametrize("lease_ends", [True, False], ids=["its lease ends", "the servers preserve themselves"])
@in_virtual_time
async def test_without_removal_it_is_looked_at_until_no_node_holds_it(lease_ends: bool) -> None:
    async with World(remove=False) as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        app.die()
        await asyncio.sleep(120)
        assert not world.broker.idle, "whoever registers under the id would be out"
        if lease_ends:
            await world.nodes[0].delete(APP, ID)
        await asyncio.sleep(90 if lease_ends else 3700)
        assert world.broker.idle
        assert world.everywhere() == ([None, None] if lease_ends else OUT)
        assert not any(write.startswith("DELETE") for write in world.registry.writes)
        assert world.broker.outcomes == [Outcome.out_of_service]


@in_virtual_time
async def test_without_removal_what_outlives_its_pod_is_left_out_of_service() -> None:
    async with World(remove=False) as world:
        app = await world.process()
        await world.send()
        await asyncio.sleep(120)
        assert world.broker.idle
        assert world.everywhere() == OUT
        assert world.broker.outcomes == [Outcome.out_of_service]
        app.die()


@in_virtual_time
async def test_without_removal_what_a_person_puts_back_serves() -> None:
    async with World(remove=False) as world:
        app = await world.process()
        await asyncio.sleep(60)
        await world.send(going())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(7)
        await world.put_back()
        await asyncio.sleep(600)
        assert world.everywhere() == ["UP", "UP"]
        app.die()


@in_virtual_time
async def test_without_removal_a_person_counts_though_a_node_has_restarted() -> None:
    async with World(remove=False) as world:
        app = await world.process()
        await asyncio.sleep(60)
        await world.send(going(grace=600))
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(7)
        await world.nodes[1].kill()
        await asyncio.sleep(10)
        await world.nodes[1].start()
        await asyncio.sleep(60)
        assert world.everywhere() == OUT
        await world.put_back()
        await asyncio.sleep(60)
        assert world.everywhere() == ["UP", "UP"]
        app.die()


@pytest.mark.parametrize("away", [30, 7200], ids=["a while", "for good"])
@in_virtual_time
async def test_without_removal_a_node_that_goes_later_is_no_trouble(away: float) -> None:
    async with World(remove=False) as world:
        app = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        app.die()
        await world.end()
        world.nodes[1].trouble = Trouble.down
        await asyncio.sleep(away)
        world.nodes[1].trouble = None
        await asyncio.sleep(120)
        await world.nodes[0].delete(APP, ID)
        await asyncio.sleep(300)
        assert world.broker.idle
        assert world.broker.outcomes == [Outcome.out_of_service]


@in_virtual_time
async def test_every_instance_of_a_pod_is_drained_in_whichever_app() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.process("ADMIN", "orders-0:admin:9090", port=9090)
        await world.send()
        await world.until_idle()
        assert world.everywhere() == OUT
        assert world.everywhere("ADMIN", "orders-0:admin:9090") == OUT
        assert {event.app for event in world.broker.events} == {APP, "ADMIN"}


@in_virtual_time
async def test_hundreds_of_pods_are_all_out_before_the_first_is_written_down() -> None:
    async with World(remove=False) as world:
        for number in range(300):
            await world.nodes[0].register("ORDERS", f"i-{number}", ip=f"10.2.{number // 250}.{number % 250}")
        await asyncio.sleep(1)
        out_when_told: list[int] = []
        record = world.broker.record

        async def note(_: LogEntry) -> None:
            out_when_told.append(sum(world.everywhere("ORDERS", f"i-{n}") == OUT for n in range(300)))
            world.broker.record = record  # type: ignore[method-assign]

        world.broker.record = note  # type: ignore[method-assign, assignment]
        for number in range(300):
            pod = terminating(a_pod(f"uid-{number}", name=f"p-{number}", ip=f"10.2.{number // 250}.{number % 250}"))
            await world.send(replace(a_command(pod)))
        await world.until_idle()
        assert out_when_told == [300]


@in_virtual_time
async def test_an_event_that_the_broker_refuses_is_written_as_soon_as_it_is_back() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.send()
        world.broker.refusal = Refusal.lost
        await asyncio.sleep(60)
        assert world.everywhere() == OUT
        assert world.broker.events == []
        world.broker.refusal = None
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.out_of_service]


@in_virtual_time
async def test_confirms_that_come_too_late_make_duplicates_and_nothing_else() -> None:
    async with World() as world:
        app = await world.process()
        world.broker.refusal = Refusal.arrives_anyway
        with_suppressed = asyncio.create_task(world.send())
        await asyncio.sleep(20)
        app.die()
        world.broker.refusal = None
        await asyncio.gather(with_suppressed, return_exceptions=True)
        await world.until_idle()
        assert world.everywhere() == [None, None]
        assert {event.outcome for event in world.broker.events} <= {
            Outcome.out_of_service,
            Outcome.removed,
            Outcome.already_gone,
        }
