"""What is refused, what is given up, and that neither stops any other drain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller.domain.commands import DrainCommand
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Outcome
from controller.domain.instances import OUT_OF_SERVICE
from controller.domain.pods import Pod
from controller.domain.reason import ReasonCode
from controller.domain.replay_plan import Requester, signed
from controller.flows.ports import IndexMatch
from tests.fakes.node_trouble import Trouble
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.world import APP, ID, World
from tests.unit.building import a_command, a_pod, at, terminating

OUT = [OUT_OF_SERVICE, OUT_OF_SERVICE]

HOSTILE = [
    {"app": "../../admin"},
    {"app": "."},
    {"instance-id": "a/b"},
    {"instance-id": ".."},
    {"instance-id": "a\x00b"},
    {"instance-id": "{__class__}"},
    {"instance-id": "{ip.__class__}"},
    {"instance-id": "x" * 600},
    {"port": "8080; DROP"},
    {"port": "٨٠"},
    {"retention": "-5m"},
    {"retention": "for ever {braces}"},
    {"retention": "x" * 1025},
]


@pytest.mark.parametrize("annotations", HOSTILE, ids=lambda notes: repr(notes)[:50])
@in_virtual_time
async def test_a_hostile_annotation_is_refused_unasked_and_the_next_pod_drained(annotations: dict[str, str]) -> None:
    async with World(remove=False) as world:
        await world.process()
        bad = terminating(a_pod("uid-bad", name="bad", ip="10.6.6.6", annotations=annotations))
        await world.send(a_command(bad))
        await asyncio.sleep(1)
        assert world.registry.requests == []
        await world.send()
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.refused, Outcome.out_of_service]
        assert "annotation eureka.drain/" in str(world.broker.events[0].reason)
        assert world.everywhere() == OUT
        assert world.broker.dead == []


@in_virtual_time
async def test_an_id_that_fits_no_url_is_refused_and_no_request_names_it() -> None:
    async with World() as world:
        await world.process(APP, "orders/0")
        await world.send()
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.refused]
        assert "not addressable" in str(world.broker.events[0].reason)
        assert set(world.registry.requests) == {"GET apps"}


@in_virtual_time
async def test_after_an_hour_of_trouble_a_drain_is_dead_lettered_as_failed() -> None:
    async with World() as world:
        await world.process()
        world.nodes[1].trouble = Trouble.nonsense
        await world.send()
        event = await world.until(Outcome.failed)
        assert 3600 <= elapsed() < 3660
        assert "failing" in str(event.reason)
        await world.until_idle()
        ((command, why),) = world.broker.dead
        assert why == event.reason
        assert command.progress is not None
        assert [target.id for target in command.progress.targets] == [ID]
        assert world.broker.outcomes == [Outcome.retrying, Outcome.failed]


@in_virtual_time
async def test_a_dead_letter_requeued_after_its_node_recovered_is_drained() -> None:
    async with World(give_up_after=timedelta(minutes=1)) as world:
        app = await world.process()
        world.nodes[1].trouble = Trouble.nonsense
        await world.send()
        await world.until(Outcome.failed)
        await world.until_idle()
        app.die()
        world.nodes[1].trouble = None
        await world.send(world.broker.dead[0][0])
        await world.until_idle()
        assert world.everywhere() == [None, None]
        assert world.broker.outcomes[-2:] == [Outcome.out_of_service, Outcome.removed]


@in_virtual_time
async def test_without_any_node_for_an_hour_the_drain_fails_with_no_instance() -> None:
    async with World() as world:
        for node in world.nodes:
            node.trouble = Trouble.down
        await world.send()
        await world.until(Outcome.failed)
        assert 3600 <= elapsed() < 3660
        await world.until_idle()
        assert len(world.broker.dead) == 1


@in_virtual_time
async def test_a_requeued_dead_letter_is_tried_for_as_long_as_a_fresh_command() -> None:
    async with World(give_up_after=timedelta(minutes=10)) as world:
        await world.process()
        for node in world.nodes:
            node.trouble = Trouble.down
        await world.send()
        await world.until(Outcome.failed)
        await world.until_idle()
        await world.send(world.broker.dead[0][0])
        await asyncio.sleep(60)
        for node in world.nodes:
            node.trouble = None
        await world.until(Outcome.out_of_service)
        assert len(world.broker.dead) == 1


@in_virtual_time
async def test_two_minutes_of_denials_are_dead_lettered_as_a_settings_mistake() -> None:
    async with World() as world:
        await world.process()
        world.nodes[1].trouble = Trouble.denying
        await world.send()
        event = await world.until(Outcome.failed)
        assert event.attempt == 12
        assert 90 < elapsed() < 180, "a rotated password may take as long to reach a pod; more helps nobody"
        assert "denied" in str(event.reason)
        await world.until_idle()
        assert len(world.broker.dead) == 1
        assert world.nodes[0].held(APP, ID).status == OUT_OF_SERVICE  # type: ignore[union-attr]


@in_virtual_time
async def test_a_region_that_denies_writes_only_is_a_mistake_in_the_settings_too() -> None:
    """Spring Security with CSRF protection: GET works, PUT gets 403."""
    async with World() as world:
        await world.process()
        for node in world.nodes:
            node.trouble = Trouble.denying_writes
        await world.send()
        await world.until(Outcome.failed)
        assert elapsed() < 180


@in_virtual_time
async def test_of_two_instances_of_one_pod_one_is_given_up_and_the_other_retired() -> None:
    async with World(give_up_after=timedelta(minutes=2)) as world:
        first = await world.process()
        second = await world.process("ADMIN", "orders-0:admin:9090", port=9090)
        world.nodes[1].nonsense_about = "ADMIN"
        await world.send()
        await world.until(Outcome.failed)
        for process in (first, second):
            process.die()
        await world.until_idle()
        assert world.everywhere() == [None, None]
        by_app = {app: [event.outcome for event in world.broker.events if event.app == app] for app in (APP, "ADMIN")}
        assert by_app[APP] == [Outcome.out_of_service, Outcome.removed]
        assert by_app["ADMIN"] == [Outcome.retrying, Outcome.failed]
        ((command, _),) = world.broker.dead
        assert command.progress is not None
        assert [target.app for target in command.progress.targets] == ["ADMIN"]


@in_virtual_time
async def test_a_bug_dead_letters_its_command_with_its_place_and_no_other() -> None:
    async with World(remove=False) as world:
        await world.process()
        find = world.registry.find

        async def find_or_fail(pod: Pod, *, not_before: datetime) -> IndexMatch:
            if pod.name == "bad":
                raise KeyError("secret {braces}")
            return await find(pod, not_before=not_before)

        world.registry.find = find_or_fail  # type: ignore[method-assign]
        await world.send(a_command(terminating(a_pod("uid-bad", name="bad"))))
        await world.send()
        await world.until_idle()
        ((_, why),) = world.broker.dead
        assert "KeyError" in str(why)
        assert "secret" not in str(why)
        assert sorted(world.broker.outcomes) == [Outcome.failed, Outcome.out_of_service]


@in_virtual_time
async def test_a_dead_letter_requeued_into_the_same_process_is_no_duplicate() -> None:
    async with World(remove=False) as world:
        await world.process()
        find = world.registry.find

        async def fail(pod: Pod, *, not_before: datetime) -> IndexMatch:
            raise KeyError

        world.registry.find = fail  # type: ignore[method-assign]
        await world.send()
        await world.until_idle()
        world.registry.find = find  # type: ignore[method-assign]
        await world.send(world.broker.dead[0][0])
        await world.until_idle()
        assert world.everywhere() == OUT


@in_virtual_time
async def test_one_instance_in_trouble_delays_no_other_instance() -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.process("SLOW", "slow", ip="10.3.0.1", host="slow")
        world.nodes[1].nonsense_about = "SLOW"
        await world.send(a_command(terminating(a_pod("uid-slow", name="slow", ip="10.3.0.1"))))
        await world.send()
        await asyncio.sleep(0.5)
        assert world.everywhere() == OUT
        assert Outcome.out_of_service in world.broker.outcomes


@in_virtual_time
async def test_a_frozen_region_delays_no_proof_and_no_event_of_another() -> None:
    async with World() as frozen, World(remove=False) as fast:
        for number in range(200):
            await frozen.nodes[0].register(APP, f"i-{number}", ip=f"10.2.0.{number}")
        await fast.process()
        await frozen.registry.find(a_pod(), not_before=at(0))
        for node in frozen.nodes:
            node.pause()
        for number in range(200):
            await frozen.send(a_command(terminating(a_pod(f"u-{number}", name=f"p-{number}", ip=f"10.2.0.{number}"))))
        await asyncio.sleep(1)
        begun = elapsed()
        await fast.send()
        await fast.until(Outcome.out_of_service)
        assert elapsed() - begun < 1


def drain_of(world: World) -> DrainRecord:
    index = DrainIndex()
    for entry in world.broker.entries:
        index.apply(entry)
    (record,) = index
    return record


@pytest.mark.parametrize("found", [True, False])
@in_virtual_time
async def test_a_dead_letter_whose_drain_has_ended_meanwhile_is_answered(found: bool) -> None:
    async with World(give_up_after=timedelta(minutes=1)) as world:
        old = await world.process()
        if found:
            await world.send()
            await world.until(Outcome.out_of_service)
        else:
            for node in world.nodes:
                node.trouble = Trouble.down
            await world.send()
        for node in world.nodes:
            node.trouble = Trouble.down
        await world.until(Outcome.failed)
        await world.until_idle()
        for node in world.nodes:
            node.trouble = None
        old.die()
        (letter, _) = world.broker.dead[0]
        assert isinstance(letter, DrainCommand)
        restored = world.an_event(letter, Outcome.restored)
        await world.broker.record(replace(restored, app=APP, instance_id=ID, event_id="given-back"))
        for node in world.nodes:
            await node.delete(APP, ID)
        await asyncio.sleep(60)
        again = signed(letter, Requester(by="nina", at=virtual_clock(), why="INC-4711"))
        await world.broker.record(world.an_event(again, Outcome.requested))
        assert not drain_of(world).answered
        await world.send(again)
        await world.until_idle()
        record = drain_of(world)
        assert record.answered
        assert record.state is Outcome.restored
        assert record.reason == restored.reason
        assert world.everywhere() == [None, None]


@pytest.mark.parametrize("what", ["end_at", "gone_at"])
@in_virtual_time
async def test_a_time_that_cannot_be_reckoned_with_is_no_message_of_ours(what: str) -> None:
    async with World(remove=False) as world:
        await world.process()
        await world.send(a_command(**{what: datetime.max.replace(tzinfo=UTC)}))
        await world.until_idle()
        ((_, why),) = world.broker.dead
        assert why.code is ReasonCode.invalid_message
        assert world.everywhere() == ["UP", "UP"]
