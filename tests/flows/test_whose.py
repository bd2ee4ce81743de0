"""Whose it is, and whether it is gone: what looks alike from one side only, played to its end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.domain.causes import Cause
from controller.domain.events import Event, Outcome, make_event, make_gone_event
from controller.domain.instances import OUT_OF_SERVICE
from controller.domain.reason import ReasonCode
from tests.fakes.client import FakeClient
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.restoring import going
from tests.flows.test_restoring import item
from tests.flows.world import APP, World
from tests.unit.building import POD_IP, a_command, a_living_pod, a_pod, a_target, at, terminating

OUT, UP = [OUT_OF_SERVICE] * 2, ["UP"] * 2
SHARED = "orders:8080"
HEIR_IP = "10.1.0.99"


async def share(world: World) -> list[FakeClient]:
    """Three replicas under one id, the drained pod's the youngest."""
    addresses = ("10.1.0.5", "10.1.0.6", POD_IP)
    return [await world.process(APP, SHARED, ip=address, host="orders") for address in addresses]


def code_of(event: Event) -> ReasonCode | None:
    return event.reason.code if event.reason else None


@pytest.mark.parametrize("remove", [True, False], ids=["", "without removal"])
@in_virtual_time
async def test_a_shared_id_is_given_back_within_a_minute_of_the_proved_end(remove: bool) -> None:
    async with World(remove=remove) as world:
        *others, own = await share(world)
        await world.send(a_command(terminating(a_pod(hostname="orders"))))
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        own.die()
        await world.end()
        ended = elapsed()
        event = await world.until(Outcome.restored)
        assert code_of(event) is ReasonCode.shared_id
        assert elapsed() - ended < 60
        await world.until_idle()
        await asyncio.sleep(600)
        assert world.everywhere(APP, SHARED) == UP
        for other in others:
            other.die()


@pytest.mark.parametrize("word", ["STARTING", "DOWN"])
@in_virtual_time
async def test_a_dead_replicas_last_word_does_not_keep_a_shared_id_out(word: str) -> None:
    async with World() as world:
        other = await world.process(APP, SHARED, ip="10.1.0.5", host="orders")
        for node in world.nodes:
            await node.put_status(APP, SHARED, OUT_OF_SERVICE)
        earlier = a_command(a_pod("uid-0", ip="10.1.0.5"), drain_id="earlier")
        taken = make_event(earlier, Outcome.out_of_service, virtual_clock(), target=a_target(id=SHARED))
        await world.broker.record(taken)
        await asyncio.sleep(1)
        own = await world.process(APP, SHARED, ip=POD_IP, host="orders", status=word)
        await world.send(a_command(terminating(a_pod(hostname="orders"))))
        await world.until(Outcome.out_of_service)
        own.die()
        await world.end()
        ended = elapsed()
        event = await world.until(Outcome.restored)
        assert code_of(event) is ReasonCode.shared_id
        assert elapsed() - ended < 90
        assert world.everywhere(APP, SHARED) == UP
        other.die()


@pytest.mark.parametrize("told", [False, True], ids=["nobody knows", "removed by force"])
@in_virtual_time
async def test_a_zombie_whose_end_is_not_proved_stays_out(told: bool) -> None:
    async with World() as world:
        zombie = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        if told:
            await world.end(proved=False)
        await asyncio.sleep(1200)
        assert world.everywhere() == OUT
        assert Outcome.restored not in world.broker.outcomes
        zombie.die()
        await world.until(Outcome.removed)


@in_virtual_time
async def test_a_dead_instance_that_restarted_nodes_have_copied_stays_out() -> None:
    async with World() as world:
        own = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        own.die()
        await world.end()
        await world.send(item())
        await asyncio.sleep(50)
        for node in world.nodes:
            await node.kill()
            await asyncio.sleep(5)
            await node.start()
            for _ in range(20):
                await asyncio.sleep(1)
                assert "UP" not in world.everywhere()
        await world.until(Outcome.removed)
        assert Outcome.restored not in world.broker.outcomes


@in_virtual_time
async def test_a_dead_copy_that_is_found_only_later_goes_once_it_is_silent() -> None:
    async with World() as world:
        own = await world.process(host=POD_IP)
        own.die()
        world.nodes[1].trouble = None
        await world.nodes[0].kill()
        await asyncio.sleep(60)
        await world.nodes[0].start()
        await world.send(a_command(gone_at=at(3)))
        await world.until(Outcome.out_of_service)
        await world.until(Outcome.removed)


@in_virtual_time
async def test_a_nodes_copy_is_not_taken_for_that_of_a_living_pod_at_the_address() -> None:
    async with World() as world:
        own = await world.process(host=POD_IP)
        own.die()
        await world.nodes[0].kill()
        await asyncio.sleep(10)
        name = "orders-7cd9c4fbcc-nlttw"
        heir = a_living_pod(name=name, ip=POD_IP, created_at=virtual_clock())
        await world.nodes[0].start()
        living = await world.process(APP, f"{name}:orders:8080", host=name)
        await world.send(a_command(living=(heir,), observed_at=virtual_clock()))
        await world.until(Outcome.out_of_service)
        assert world.everywhere() == OUT
        assert world.everywhere(APP, f"{name}:orders:8080") == UP
        living.die()


@pytest.mark.parametrize("after", [1, 8], ids=["at once", "later"])
@pytest.mark.parametrize("proved", [True, False], ids=["", "removed by force"])
@pytest.mark.parametrize("host", ["orders-1", POD_IP], ids=["a name of its own", "nothing of its own"])
@in_virtual_time
async def test_a_new_pod_at_the_address_of_one_that_is_looked_for_is_never_out(
    host: str, proved: bool, after: float
) -> None:
    async with World() as world:
        await world.send()
        await asyncio.sleep(2)
        await world.end(proved=proved)
        await asyncio.sleep(after)
        new = await world.process(APP, f"{host}:orders:8080", host=host)
        await world.until_idle()
        await asyncio.sleep(600)
        assert world.everywhere(APP, f"{host}:orders:8080") == UP
        assert world.registry.writes == []
        new.die()


@in_virtual_time
async def test_what_the_log_alone_remembers_is_taken_out_when_it_registers_again() -> None:
    async with World() as world:
        # Another worker took it out, its message is lost, and the nodes have lost their memory.
        await world.broker.record(make_event(a_command(), Outcome.out_of_service, virtual_clock(), target=a_target()))
        await world.send()
        await asyncio.sleep(5)
        again = await world.process()
        await asyncio.sleep(20)
        assert world.everywhere() == OUT
        assert Outcome.restored not in world.broker.outcomes
        again.die()
        await world.end()
        await world.until(Outcome.removed)


@in_virtual_time
async def test_a_lost_nodes_process_that_registers_again_stays_out_until_its_end() -> None:
    async with World() as world:
        own = await world.process(host=POD_IP)
        await world.send(a_command(cause=Cause.node_lost, end_at=at(0)))
        await world.until(Outcome.out_of_service)
        await world.send(a_command(end_at=at(300)))
        own.die()
        for node in world.nodes:
            await node.kill()
            node.trouble = None
        await asyncio.sleep(60)
        again = await world.process(host=POD_IP)
        await asyncio.sleep(60)
        assert world.everywhere() == OUT
        assert Outcome.restored not in world.broker.outcomes
        again.die()


@in_virtual_time
async def test_without_removal_a_successor_is_restored_however_late_it_comes() -> None:
    async with World(remove=False) as world:
        own = await world.process()
        await world.send()
        await world.until(Outcome.out_of_service)
        own.die()
        await world.end()
        await world.send(item())
        await asyncio.sleep(40 * 60)
        newer = await world.process(ip=HEIR_IP)
        await world.until(Outcome.restored)
        assert world.everywhere() == UP
        newer.die()


@in_virtual_time
async def test_an_id_of_a_host_name_that_replicas_share_is_looked_at_often() -> None:
    fixed = "orders:orders:8080"
    async with World() as world:
        own = await world.process(APP, fixed, host="orders")
        await world.send(a_command(terminating(a_pod(name="orders-7cd9c4fbcc-nlttw", hostname="orders"))))
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(10)
        own.die()
        await world.end()
        newer = await world.process(APP, fixed, host="orders", ip=HEIR_IP)
        registered = elapsed()
        await world.until(Outcome.restored)
        assert elapsed() - registered < 6
        assert world.everywhere(APP, fixed) == UP
        newer.die()


@in_virtual_time
async def test_a_stranger_is_recognised_while_a_node_is_away() -> None:
    async with World() as world:
        await world.send()
        await asyncio.sleep(2)
        await world.end()
        await asyncio.sleep(8)
        stranger = await world.process(APP, f"{POD_IP}:orders:8080", host=POD_IP)
        await world.nodes[1].kill()
        await world.until(Outcome.superseded)
        assert elapsed() < 180
        assert world.registry.writes == []
        stranger.die()


@in_virtual_time
async def test_a_shared_id_is_given_back_while_a_node_is_away() -> None:
    async with World() as world:
        *others, own = await share(world)
        await world.send(a_command(terminating(a_pod(hostname="orders"))))
        await world.until(Outcome.out_of_service)
        await world.nodes[1].kill()
        own.die()
        await world.end()
        await asyncio.sleep(150)
        assert world.everywhere(APP, SHARED) == ["UP", None]
        await world.nodes[1].start()
        event = await world.until(Outcome.restored)
        assert code_of(event) is ReasonCode.shared_id
        assert world.everywhere(APP, SHARED) == UP
        for other in others:
            other.die()


@in_virtual_time
async def test_without_removal_an_id_that_another_cluster_has_too_is_given_back() -> None:
    async with World(remove=False) as world:
        twin = await world.process(ip="10.2.0.9")
        await asyncio.sleep(20)
        own = await world.process()
        await asyncio.sleep(60)
        await world.send(going())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        own.die()
        await world.end()
        await asyncio.sleep(300)
        assert world.everywhere() == UP
        twin.die()


@pytest.mark.parametrize("instance_id", ["orders-main", f"{POD_IP}:orders:8080"], ids=["a fixed id", "an address"])
@in_virtual_time
async def test_without_removal_whoever_registers_a_minute_later_serves(instance_id: str) -> None:
    at_address = instance_id.startswith(POD_IP)
    async with World(remove=False) as world:
        own = await world.process(APP, instance_id, host=POD_IP)
        await world.send(going())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(20)
        own.die()
        await world.end()
        await asyncio.sleep(60)
        ip = POD_IP if at_address else HEIR_IP
        newer = await world.process(APP, instance_id, ip=ip, host=ip)  # its pod is not watched
        await asyncio.sleep(600)
        assert world.everywhere(APP, instance_id) == UP
        newer.die()


@in_virtual_time
async def test_without_removal_a_node_that_restarts_does_not_serve_the_dying_one() -> None:
    async with World(remove=False) as world:
        own = await world.process()
        await asyncio.sleep(60)
        await world.send(going(grace=120))
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(5)
        await world.nodes[0].kill()
        world.nodes[0].trouble = None  # it copies from its peer what is UP there
        served = 0
        for _ in range(90):
            await asyncio.sleep(1)
            served += "UP" in world.everywhere()
        assert served < 20
        own.die()


@in_virtual_time
async def test_without_removal_a_silent_id_is_left_to_its_lease() -> None:
    async with World(remove=False) as world:
        own = await world.process(APP, SHARED, host="orders")
        await world.send(a_command(terminating(a_pod(hostname="orders"))))
        await world.until(Outcome.out_of_service)
        own.die()
        await world.end()
        await world.until_idle(hours=0.1)
        assert world.everywhere(APP, SHARED) == OUT
        assert [entry.outcome for entry in world.broker.entries if isinstance(entry, Event)] == [Outcome.out_of_service]


@in_virtual_time
async def test_a_living_pod_at_the_address_is_left_alone_by_a_step_done_twice() -> None:
    instance_id = f"{POD_IP}:orders:8080"
    async with World() as world:
        await asyncio.sleep(15)
        living = await world.process(APP, instance_id, host=POD_IP)
        rival = a_living_pod(ip=POD_IP, name="billing-0", host_names=("billing-0",), created_at=at(10))
        await world.send(a_command(living=(rival,)))
        # Whoever took it first has crashed.
        delivery = world.broker.queues["eu"].get_nowait()
        world.broker.queues["eu"].put_nowait(replace(delivery, redelivered=True))
        await asyncio.sleep(300)
        assert world.registry.writes == []
        living.die()


@in_virtual_time
async def test_a_living_pod_that_was_taken_for_its_predecessor_is_given_back() -> None:
    instance_id = f"{POD_IP}:orders:8080"
    async with World() as world:
        # Nobody knows yet that the drained pod is gone, and that another one has its address.
        living = await world.process(APP, instance_id, host=POD_IP)
        await world.send()
        await world.until(Outcome.out_of_service)
        await world.send(item(ip=POD_IP, name="orders-x", hostname="orders-x", created_at=at(0)))
        await asyncio.sleep(90)
        assert world.everywhere(APP, instance_id) == UP
        await world.until_idle()
        assert world.everywhere(APP, instance_id) == UP
        living.die()


@in_virtual_time
async def test_without_a_log_what_registers_after_the_deadline_is_left_alone() -> None:
    async with World() as world:
        await asyncio.sleep(120)
        stranger = await world.process("JOBS", f"{POD_IP}:jobs:8080", host=POD_IP)  # its pod is not watched
        await asyncio.sleep(30)
        await world.send()  # once more, by a worker that died; the pod's end was in the log
        await world.until_idle()
        assert world.everywhere("JOBS", f"{POD_IP}:jobs:8080") == UP
        assert not world.registry.writes
        stranger.die()


@in_virtual_time
async def test_an_heir_that_dies_while_it_starts_holds_no_drain() -> None:
    async with World() as world:
        own = await world.process(APP, SHARED)
        await world.send()
        await world.until(Outcome.out_of_service)
        own.die()
        await world.end()
        await asyncio.sleep(5)
        heir = await world.process(APP, SHARED, ip=HEIR_IP, host="orders", status="STARTING")
        await asyncio.sleep(20)
        heir.die()
        await world.until_idle(hours=0.2)
        assert world.broker.outcomes[-1] is Outcome.restored
        assert world.everywhere(APP, SHARED) == ["STARTING", "STARTING"]
        newer = await world.process(APP, SHARED, ip=HEIR_IP, host="orders")
        assert world.everywhere(APP, SHARED) == UP
        newer.die()


@in_virtual_time
async def test_without_a_log_what_runs_beyond_its_deadline_is_not_given_back() -> None:
    async with World() as world:
        own = await world.process()
        await asyncio.sleep(60)
        await world.send(going())
        await world.until(Outcome.out_of_service)
        await asyncio.sleep(100)
        for node in world.nodes:
            await node.kill()
            node.trouble = None
        await asyncio.sleep(60)  # it has registered anew, and was taken out anew
        for _ in range(600):
            await asyncio.sleep(1)
            assert "UP" not in world.everywhere()
        own.die()


@pytest.mark.parametrize("seconds", [0, 2, 20])
@pytest.mark.parametrize("keeps_waiting", [True, False])
@in_virtual_time
async def test_a_namesake_without_an_address_outlives_who_deregisters(seconds: int, keeps_waiting: bool) -> None:
    async with World(keeps_waiting=keeps_waiting) as world:
        namesake = await world.process("WEB", "web-0:b", ip="127.0.0.1", host="web-0")
        own = await world.process("WEB", "web-0:a", ip="127.0.0.1", host="web-0")
        await asyncio.sleep(600)
        command = going(a_pod(name="web-0", app_label="web"))
        await world.send(command)
        await asyncio.sleep(seconds)
        await own.shutdown()
        await world.broker.record(make_gone_event(command, virtual_clock(), virtual_clock(), proved=False))
        for _ in range(900):
            await asyncio.sleep(1)
            assert world.everywhere("WEB", "web-0:b") == UP
        namesake.die()
