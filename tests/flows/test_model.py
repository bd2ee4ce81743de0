"""The controller against a model of its world: no live instance is drained for good, and no dead one remains.

``FAULTS=all`` plays many more runs, other ones each time; ``MODEL_SEED`` repeats those of a seed, ``MODEL_RUNS``
is their number, ``MODEL_EXTRAS`` says what a history may have beside the plain (a comma between two, nothing for none),
and with ``MODEL_SHRINK=no`` the first failure is reported as it is: shrinking one takes minutes.

What it found stands below, each as a test of its own. Where the model excludes what cannot be distinguished by the
registry, its code says ASSUMED.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fakes.node_trouble import Trouble
from tests.fakes.outbox import Refusal
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.model import Model
from tests.flows.model_kinds import ONE_AT_A_TIME, Ending, Kind, Member, StrangerKind
from tests.flows.model_machine import Histories

EVERYTHING = os.environ.get("FAULTS") == "all"
EVERYDAY_SEED = 1
RUNS = int(os.environ.get("MODEL_RUNS", "2000" if EVERYTHING else "40"))
STEPS = 60 if EVERYTHING else 35


@pytest.mark.timeout(1_800 if EVERYTHING else 900)
def test_whatever_happens_live_instances_serve_and_dead_ones_are_gone() -> None:
    made: Counter[str] = Counter()

    usual = settings(
        max_examples=RUNS,
        stateful_step_count=STEPS,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate,) if os.environ.get("MODEL_SHRINK") == "no" else (Phase.generate, Phase.shrink),
    )
    # The same histories each day, whatever things are called; other ones in a long run.
    number = int(os.environ.get("MODEL_SEED") or (secrets.randbelow(1_000_000) if EVERYTHING else EVERYDAY_SEED))
    print(f"MODEL_SEED={number}")

    @seed(number)
    def machine() -> Histories:
        return Histories(made)

    run_state_machine_as_test(machine, settings=usual)  # type: ignore[arg-type]
    print(f"{made.total()} steps: {dict(made.most_common())}")
    assert made.total() >= 10 * RUNS


@in_virtual_time
async def test_a_short_lived_pod_with_a_reused_address_is_drained_by_its_name() -> None:
    async with Model(nodes=1) as model:
        old = await model.cluster.appear(Kind.named)
        await model.wait(10)
        await model.interrupt_feed()
        await model.cluster.delete(old, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.named, address=old.pod.ip)
        await model.settle()


@in_virtual_time
async def test_a_node_that_was_frozen_during_a_takeover_does_not_end_the_drain() -> None:
    async with Model(nodes=2, workers=2) as model:
        old = await model.cluster.appear(Kind.stateful)
        await model.wait(10)
        await model.cluster.terminate(old, grace=1, lasts=0, ending=Ending.silent)
        await model.wait(3)
        await model.cluster.appear(Kind.stateful, registers=1, ready=0)
        await model.interrupt_feed()
        await model.trouble(model.nodes[0], Trouble.frozen)
        await model.wait(5)
        await model.settle()


@in_virtual_time
async def test_an_id_that_names_no_pod_is_handed_over_after_a_crash_too() -> None:
    async with Model(nodes=2) as model:
        old = await model.cluster.appear(Kind.fixed_id)
        await model.wait(10)
        model.workers[0].fate.doom_at("before postpone")
        await model.cluster.terminate(old, grace=30, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=0)
        await model.settle()


@pytest.mark.parametrize("point", ["after take_out at http://eureka-1:8761/eureka", "before record"])
@in_virtual_time
async def test_an_id_that_names_no_pod_is_given_back_after_a_crash_at_its_write(point: str) -> None:
    async with Model(nodes=2) as model:
        old = await model.cluster.appear(Kind.fixed_id)
        for node in model.nodes:
            node.cache_age = timedelta(0)  # the successor is in the index by the time of the second handling
        await model.wait(40)
        model.workers[0].fate.doom_at(point)
        await model.cluster.terminate(old, grace=30, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=0)
        await model.settle()


@in_virtual_time
async def test_a_young_instance_is_found_beside_its_predecessors_at_the_address() -> None:
    async with Model(nodes=1) as model:
        old = await model.cluster.appear(Kind.by_address)
        await model.wait(40)
        await model.cluster.delete(old, lasts=0, ending=Ending.silent)
        await model.wait(20)
        young = await model.cluster.appear(Kind.named, address=old.pod.ip, registers=1, ready=0)
        await model.wait(4)
        await model.cluster.terminate(young, grace=30, lasts=5, ending=Ending.silent)
        await model.settle()


@in_virtual_time
async def test_two_dead_holders_of_one_id_at_different_nodes_are_both_gone() -> None:
    async with Model(nodes=2) as model:
        await model.cluster.appear(Kind.named, slot=0)
        await model.cluster.appear(Kind.named, slot=1)
        old = await model.cluster.appear(Kind.stateful, slot=2)
        await model.wait(10)
        await model.trouble(model.nodes[0], Trouble.frozen)
        await model.cluster.delete(old, lasts=0, ending=Ending.silent)
        successor = await model.cluster.appear(Kind.stateful, slot=2, registers=1, ready=0)
        await model.wait(3)
        await model.cluster.fail(successor)
        await model.settle()


@in_virtual_time
async def test_another_handlings_write_is_no_heartbeat_after_the_end() -> None:
    async with Model(nodes=2, workers=2) as model:
        own = await model.cluster.appear(Kind.random_id)
        await model.wait(40)
        model.watch.broker.delays_of_messages.extend([0.3])
        await model.cluster.fail(own)
        await model.repeat(model.broker.sent[-1])
        await model.settle()


@in_virtual_time
async def test_a_shared_id_serves_again_within_a_minute_of_a_replicas_end() -> None:
    async with Model() as model:
        await model.cluster.appear(Kind.shared_id)
        young = await model.cluster.appear(Kind.shared_id)
        await model.wait(40)
        await model.cluster.terminate(young, grace=30, lasts=5, ending=Ending.silent)
        await model.wait(65)
        assert {node.by_id("billing:8080").status for node in model.nodes} == {"UP"}  # type: ignore[union-attr]
        await model.settle()


@in_virtual_time
async def test_a_fixed_id_is_its_new_pods_beside_a_process_that_outlived_its_pod() -> None:
    async with Model() as model:
        old = await model.cluster.appear(Kind.fixed_id)
        await model.wait(40)
        await model.cluster.delete(old, lasts=150, ending=Ending.silent)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=3)
        await model.settle()


@in_virtual_time
async def test_commands_that_come_again_after_a_takeover_leave_the_new_pod_alone() -> None:
    async with Model() as model:
        old = await model.cluster.appear(Kind.stateful)
        await model.wait(40)
        await model.cluster.terminate(old, grace=30, lasts=5, ending=Ending.silent)
        await model.wait(33)
        await model.cluster.appear(Kind.stateful, registers=1, ready=3)
        await model.wait(200)
        for item in model.repeatable:
            await model.repeat(item)
        await model.settle()


@in_virtual_time
async def test_a_persons_override_stays_on_a_pod_that_ends_while_it_starts() -> None:
    async with Model() as model:
        first = await model.cluster.appear(Kind.stateful)
        await model.wait(60)
        await model.people.take_out(first)
        await model.cluster.delete(first, lasts=0, ending=Ending.silent)
        starting = await model.cluster.appear(Kind.stateful, registers=1, ready=30)
        await model.wait(10)
        await model.cluster.delete(starting, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.stateful, registers=1, ready=5)
        await model.settle()


async def taken_out_by_hand(model: Model, *, ago: float) -> Member:
    """A pod under a fixed id that a person took out so many seconds ago."""
    member = await model.cluster.appear(Kind.fixed_id)
    await model.wait(60)
    await model.people.take_out(member)
    await model.wait(ago)
    return member


@in_virtual_time
async def test_a_persons_override_on_an_id_that_names_no_pod_outlasts_a_crash() -> None:
    async with Model() as model:
        old = await taken_out_by_hand(model, ago=30)
        model.workers[0].fate.doom_at("before postpone")
        model.broker.log_refusal = Refusal.lost
        await model.cluster.terminate(old, grace=30, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=3)
        await model.wait(5)
        await model.settle()


@pytest.mark.parametrize("point", ["before proceed", "after proceed", "before ack"])
@in_virtual_time
async def test_a_persons_override_set_just_before_a_drain_outlasts_a_crash(point: str) -> None:
    async with Model() as model:
        old = await taken_out_by_hand(model, ago=10)
        model.workers[0].fate.doom_at(point)
        await model.cluster.terminate(old, grace=30, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=3)
        await model.settle()
        assert old.process.key in model.people.out


@in_virtual_time
async def test_an_override_that_a_person_has_lifted_meanwhile_is_ours() -> None:
    async with Model() as model:
        old = await taken_out_by_hand(model, ago=60)
        await model.delay([0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        model.workers[0].fate.doom_at("after take_out at http://eureka-0:8761/eureka")
        model.broker.log_refusal = Refusal.lost
        await model.cluster.terminate(old, grace=30, lasts=4, ending=Ending.silent)
        await model.wait(1)
        await model.people.lift(old)
        await model.wait(2.5)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=3)
        await model.wait(12)
        await model.settle()


@in_virtual_time
async def test_two_handlings_of_one_drain_give_an_id_back_if_one_has_taken_it() -> None:
    async with Model(nodes=2, workers=2) as model:
        old = await model.cluster.appear(Kind.fixed_id)
        await model.wait(40)
        await model.trouble(model.nodes[1], Trouble.frozen)
        await model.cluster.terminate(old, grace=30, lasts=5, ending=Ending.silent)
        await model.repeat(model.broker.sent[-1])
        await model.wait(5)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=20)
        await model.wait(2)
        await model.repair(model.nodes[1])
        await model.settle()


@in_virtual_time
async def test_a_last_heartbeat_that_a_slow_node_does_late_is_nobody_elses() -> None:
    async with Model() as model:
        own = await model.cluster.appear(Kind.by_address)
        await model.wait(40)
        await model.trouble(model.nodes[0], Trouble.slow)
        await model.cluster.terminate(own, grace=30, lasts=22, ending=Ending.silent)
        await model.wait(25)
        await model.repair(model.nodes[0])
        await model.settle()


@in_virtual_time
async def test_two_dead_holders_of_an_id_are_not_each_left_to_the_other() -> None:
    async with Model() as model:
        old = await model.cluster.appear(Kind.stateful)
        await model.wait(10)
        await model.cluster.delete(old, lasts=32, ending=Ending.silent)
        young = await model.cluster.appear(Kind.stateful, registers=1, ready=35)
        await model.wait(3)
        await model.cluster.delete(young, lasts=0, ending=Ending.silent)
        await model.wait(3)
        await model.trouble(model.nodes[1], Trouble.frozen)
        await model.wait(60)
        await model.repair(model.nodes[1])
        await model.settle()


@in_virtual_time
async def test_copies_of_a_dead_registration_at_every_node_are_nobody_elses() -> None:
    async with Model() as model:
        old = await model.cluster.appear(Kind.by_address)
        await model.wait(10)
        await model.interrupt_feed()
        await model.cluster.fail(old)
        await model.cluster.appear(Kind.named, address=old.pod.ip)
        for node in model.nodes:
            await model.lose_memory(node)
            await model.wait(1)
            await model.repair(node)
        await model.settle()


@in_virtual_time
async def test_a_repetition_that_the_log_is_kept_from_leaves_nothing_out() -> None:
    async with Model(workers=2) as model:
        old = await model.cluster.appear(Kind.fixed_id)
        await model.wait(40)
        await model.stop_log(200)
        await model.cluster.delete(old, lasts=0, ending=Ending.silent)
        await model.cluster.appear(Kind.fixed_id, registers=1, ready=60)
        await model.wait(2)
        await model.repeat(model.broker.sent[0])
        await model.wait(60)
        await model.settle()


@in_virtual_time
async def test_a_repetitions_write_is_no_heartbeat_while_the_log_is_away() -> None:
    async with Model(workers=2) as model:
        own = await model.cluster.appear(Kind.named)
        await model.wait(40)
        await model.cluster.fail(own)
        await model.wait(20)
        await model.stop_log(60)
        await model.people.lift(own)
        await model.repeat(model.broker.sent[-1])
        await model.settle()


@in_virtual_time
async def test_a_zombies_last_heartbeat_is_not_that_of_its_successor() -> None:
    async with Model(nodes=1) as model:
        old = await model.cluster.appear(Kind.random_id)
        await model.wait(10)
        await model.cluster.delete(old, lasts=28, ending=Ending.silent)
        await model.wait(30)
        await model.cluster.appear(Kind.named, address=old.pod.ip)
        await model.settle()


async def _a_successor_and_a_new_worker(model: Model, *, reads_for: float, kind: Kind = Kind.host_network) -> str:
    """A drain that has ended long ago, another pod under its id, and a worker that begins to read; returns the id."""
    old = await model.cluster.appear(kind, slot=0)
    await model.wait(40)
    await model.cluster.terminate(old, grace=30, lasts=5, ending=Ending.silent)
    await model.wait(33)
    await model.cluster.appear(kind, slot=0, registers=1, ready=20)
    await model.wait(600)
    model.workers[0].reading = reads_for
    model.workers[0].kill()
    await model.wait(6)
    return old.process.id


@in_virtual_time
async def test_an_old_command_that_comes_before_the_log_is_read_waits_for_it() -> None:
    async with Model() as model:
        instance_id = await _a_successor_and_a_new_worker(model, reads_for=4)
        await model.repeat(model.broker.sent[0])
        for _ in range(40):
            await model.wait(0.5)
            assert {node.by_id(instance_id).status for node in model.nodes} == {"UP"}  # type: ignore[union-attr]
        await model.settle()


@pytest.mark.parametrize("crash", ["", "before record", "before ack"])
@pytest.mark.parametrize("kind", list(ONE_AT_A_TIME))
@in_virtual_time
async def test_what_an_old_command_takes_out_without_the_log_is_given_back(kind: Kind, crash: str) -> None:
    async with Model() as model:
        await _a_successor_and_a_new_worker(model, reads_for=20, kind=kind)
        if crash:
            model.workers[0].fate.doom_at(crash)
            model.workers[0].reading = 0.0  # the next one has read it when the command comes again
        await model.repeat(model.broker.sent[0])
        await model.wait(60)
        await model.settle()


@in_virtual_time
async def test_a_persons_override_outlasts_a_crash_just_after_it_was_seen() -> None:
    async with Model() as model:
        old = await model.cluster.appear(Kind.stateful, slot=0)
        await model.wait(40)
        await model.people.take_out(old)
        await model.wait(5)
        model.workers[0].fate.doom_at("before proceed")
        await model.cluster.terminate(old, grace=30, lasts=5, ending=Ending.silent)
        await model.wait(40)
        assert model.workers[0].deaths == 1
        await model.cluster.appear(Kind.stateful, slot=0, registers=1, ready=20)
        await model.settle()


@pytest.mark.parametrize("kind", [Kind.random_id, Kind.by_address])
@in_virtual_time
async def test_another_app_at_a_used_address_is_left_alone_beside_the_dead_ones(kind: Kind) -> None:
    async with Model(nodes=2) as model:
        old = await model.cluster.appear(kind)
        await model.wait(40)
        for node in model.nodes:
            await model.trouble(node, Trouble.frozen)
        await model.cluster.terminate(old, grace=30, lasts=20, ending=Ending.silent)
        await model.wait(1)
        await model.crash(model.watch, 0)
        await model.cluster.delete(old, lasts=0, ending=Ending.silent)
        await model.delete_log(0)
        for node in model.nodes:
            await model.repair(node)
        await model.cluster.stranger_appears(StrangerKind.unwatched, old, registers=1, ready=1)
        await model.settle()
