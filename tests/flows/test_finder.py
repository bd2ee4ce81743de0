"""From a pod to its instances: in the index, past it, in several looks, and not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.domain.drain_record import new_record
from controller.domain.events import Outcome
from controller.domain.instances import OUT_OF_SERVICE
from controller.flows.handler_result import Proceed, Wait
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import elapsed, in_virtual_time
from tests.flows.restoring import going
from tests.flows.world import APP, ID, REPLICATED, World
from tests.unit.building import NOON, POD_IP, a_command, a_living_pod, a_pod, a_progress, at, terminating

OUT = [OUT_OF_SERVICE, OUT_OF_SERVICE]
UP = ["UP", "UP"]


def fill_the_caches(world: World) -> None:
    """From now on every node serves today's registry for half a minute."""
    for node in world.nodes:
        node.cached()


@in_virtual_time
async def test_an_instance_younger_than_the_response_cache_is_found_later() -> None:
    async with World(remove=False) as world:
        fill_the_caches(world)
        await world.process()
        await world.send()
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.out_of_service]
        out = await world.until(Outcome.out_of_service)
        assert 29 <= (out.at - NOON).total_seconds() < 36
        assert world.everywhere() == OUT


@in_virtual_time
async def test_a_template_of_the_settings_finds_a_young_instance_at_once() -> None:
    async with World(remove=False, instance_id_templates=("{hostname}:{app}:{port}",)) as world:
        fill_the_caches(world)
        await world.process()
        await world.send(a_command(terminating(a_pod(app_label="orders"))))
        await world.until(Outcome.out_of_service)
        assert elapsed() < 1.5


@in_virtual_time
async def test_an_instance_id_in_an_annotation_finds_a_young_instance_at_once() -> None:
    async with World(remove=False) as world:
        fill_the_caches(world)
        await world.process()
        await world.send(a_command(terminating(a_pod(annotations={"instance-id": "{hostname}:orders:{port}"}))))
        await world.until(Outcome.out_of_service)
        assert elapsed() < 1.5


@in_virtual_time
async def test_a_pod_is_called_not_registered_only_after_35_seconds_of_looks() -> None:
    async with World() as world:
        await world.send(a_command(gone_at=at(-1)))
        await asyncio.sleep(34)
        assert world.broker.events == []
        event = await world.until(Outcome.not_registered)
        assert 35 <= elapsed() < 37
        assert "no instance in the region is the pod's" in str(event.reason)
        await world.until_idle()
        assert world.registry.writes == []
        assert len(world.broker.waits) >= 10


@in_virtual_time
async def test_a_pod_that_is_deleted_while_it_starts_is_out_when_it_registers() -> None:
    async with World() as world:
        await world.send(a_command(end_at=at(130)))
        await asyncio.sleep(45)
        await world.process()
        await world.until(Outcome.out_of_service)
        assert elapsed() < 45 + 35, "callers are given it from the same cache"
        assert world.everywhere() == OUT


@in_virtual_time
async def test_a_second_registration_that_the_cache_shows_later_is_out_too() -> None:
    async with World() as world:
        await world.process()
        fill_the_caches(world)
        await world.process("ORDERS-ADMIN", "orders-0:admin:8081", port=8081)
        await world.send()
        await world.until(Outcome.out_of_service, count=2)
        assert elapsed() < 60
        assert world.everywhere("ORDERS-ADMIN", "orders-0:admin:8081") == OUT


@in_virtual_time
async def test_what_registers_anew_as_its_drain_ends_is_out_again() -> None:
    async with World() as world:
        for node in world.nodes:
            node.clock_error = timedelta(seconds=-2)
        first = await world.process()
        command = a_command(end_at=at(130))
        await world.send(command)
        await world.until(Outcome.out_of_service)
        await first.shutdown()
        await asyncio.sleep(REPLICATED)
        await world.broker.record(replace(world.an_event(command, Outcome.restored), app=APP, instance_id=ID))
        await world.process()
        await world.until(Outcome.out_of_service, count=2)
        assert elapsed() < 60
        assert world.everywhere() == OUT
        record = new_record(world.broker.events[0])
        for event in world.broker.events:
            record.apply(event, timeline=False)
        assert record.state is Outcome.out_of_service


@in_virtual_time
async def test_what_an_old_list_shows_anew_in_other_hands_is_not_asked_in_a_loop() -> None:
    # Its drain has ended; the next pod under the id is out by another drain. The lists still show the first one's.
    async with World() as world:
        await world.process()
        command, other = a_command(end_at=at(130)), a_command(a_pod("uid-other"), drain_id="other")
        for drain, outcome in ((command, Outcome.restored), (other, Outcome.out_of_service)):
            await world.broker.record(replace(world.an_event(drain, outcome), app=APP, instance_id=ID))
        fill_the_caches(world)
        await world.nodes[0].put_status(APP, ID, OUT_OF_SERVICE)
        await asyncio.sleep(REPLICATED)
        await world.process(ip="10.42.9.9", status="STARTING")
        worker = world.start_worker()
        item = replace(command, progress=a_progress(found=((APP, ID),), first_look_at=NOON))
        (first,) = await worker.handle(item, redelivered=False)
        assert isinstance(first, Proceed), "it may bear our override"
        (second,) = await worker.handle(first.item, redelivered=False)
        assert isinstance(second, Wait)
        assert second.after.total_seconds() > 1


@in_virtual_time
async def test_an_index_that_lacks_a_node_is_trouble_and_no_answer() -> None:
    async with World() as world:
        world.nodes[1].trouble = Trouble.down
        await world.send(a_command(gone_at=at(-1)))
        await asyncio.sleep(60)
        assert world.broker.outcomes == [Outcome.retrying]
        world.nodes[1].trouble = None
        await world.until(Outcome.not_registered)


@in_virtual_time
async def test_only_one_nodes_index_is_enough_and_none_is_waited_for() -> None:
    async with World(remove=False) as world:
        await world.process()
        for node in world.nodes:
            node.trouble = Trouble.down
        await world.send()
        await asyncio.sleep(100)
        assert world.broker.outcomes == [Outcome.retrying]
        world.nodes[1].trouble = None
        await asyncio.sleep(20)
        assert world.nodes[1].held(APP, ID).status == OUT_OF_SERVICE  # type: ignore[union-attr]
        world.nodes[0].trouble = None
        await world.until(Outcome.out_of_service)


@in_virtual_time
async def test_a_living_pods_instance_at_the_address_is_superseded_unwritten() -> None:
    async with World() as world:
        await world.process()
        await world.send(a_command(living=(a_living_pod(ip=POD_IP, created_at=at(-10)),)))
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.superseded]
        assert world.registry.writes == []


@in_virtual_time
async def test_an_id_that_another_app_has_for_another_pod_is_refused() -> None:
    async with World() as world:
        await world.process()
        await world.process("OTHER", ID, ip="10.9.9.9", host="stranger")
        await world.send()
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.refused]
        assert "ambiguous" in str(world.broker.events[0].reason)
        assert world.registry.writes == []


@in_virtual_time
async def test_an_ambiguous_young_id_is_refused_even_if_an_annotation_names_it() -> None:
    async with World() as world:
        await world.process("OTHER", ID, ip="10.9.9.9", host="stranger")
        fill_the_caches(world)
        await world.process()
        await world.send(a_command(terminating(a_pod(annotations={"instance-id": ID}))))
        await world.until_idle()
        assert world.broker.outcomes[-1] is Outcome.refused
        assert world.registry.writes == []


@in_virtual_time
async def test_of_two_instances_the_pods_is_drained_and_the_other_reported() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.process("ADMIN", "shared", port=9090)
        await world.process("OTHER", "shared", ip="10.9.9.9", host="stranger")
        await world.send()
        await world.until_idle()
        assert world.everywhere() == OUT
        assert world.everywhere("ADMIN", "shared") == ["UP", "UP"]
        assert sorted(world.broker.outcomes) == [Outcome.out_of_service, Outcome.refused]


@in_virtual_time
async def test_many_pods_share_one_look_into_the_index() -> None:
    async with World(remove=False) as world:
        for number in range(20):
            await world.nodes[0].register(APP, f"i-{number}", ip=f"10.2.0.{number}")
        await asyncio.sleep(1)
        for number in range(20):
            await world.send(a_command(terminating(a_pod(f"uid-{number}", name=f"p-{number}", ip=f"10.2.0.{number}"))))
        await world.until_idle()
        assert len(set(world.broker.outcomes)) == 1
        assert len(world.broker.events) == 20


@pytest.mark.parametrize("during_grace", [False, True], ids=["younger than the cache", "during the grace"])
@in_virtual_time
async def test_a_second_app_of_the_pod_at_another_port_goes_out_when_it_shows(during_grace: bool) -> None:
    orders, billing = f"{POD_IP}:orders:8080", f"{POD_IP}:billing:8081"
    pod = a_pod(ports=(8080, 8081), app_label="shop", name="shop-0")
    async with World() as world:
        first = await world.process("ORDERS", orders, host=POD_IP)
        fill_the_caches(world)
        if during_grace:
            await world.send(going(pod, grace=300))
            await asyncio.sleep(40)
        second = await world.process("BILLING", billing, host=POD_IP, port=8081)
        await asyncio.sleep(20)
        if not during_grace:
            await world.send(going(pod, grace=300))
        await asyncio.sleep(60)
        assert world.everywhere("ORDERS", orders) == OUT
        assert world.everywhere("BILLING", billing) == OUT
        first.die()
        second.die()


@in_virtual_time
async def test_what_is_behind_a_host_port_of_the_pod_goes_out_at_its_node() -> None:
    node, instance_id = "192.168.1.5", "192.168.1.5:orders:31080"
    pod = a_pod(name="orders-7cd9c4fbcc-nlttw", host_ips=(node,), host_ports=(31080,))
    async with World() as world:
        own = await world.process(APP, instance_id, ip=node, host=node, port=31080)
        beside = await world.process(APP, f"{node}:orders:31081", ip=node, host=node, port=31081)
        await world.send(going(pod))
        await world.until(Outcome.out_of_service)
        assert world.everywhere(APP, instance_id) == OUT
        await asyncio.sleep(60)
        assert world.everywhere(APP, f"{node}:orders:31081") == UP
        own.die()
        beside.die()


@in_virtual_time
async def test_a_starting_pod_that_takes_an_annotated_id_over_is_out_later() -> None:
    async with World() as world:
        before = await world.process(APP, "orders-main", ip="10.1.0.5", host="10.1.0.5")
        before.die()
        starting = terminating(
            a_pod("uid-b", ip="10.1.0.9", annotations={"instance-id": "orders-main"}, created_at=at(-15)), grace=130
        )
        await world.send(a_command(starting, end_at=at(130)))
        await asyncio.sleep(45)
        late = await world.process(APP, "orders-main", ip="10.1.0.9", host="10.1.0.9")
        await asyncio.sleep(45)
        assert world.everywhere(APP, "orders-main") == OUT
        late.die()
