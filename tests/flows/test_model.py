"""The controller against a model of its world: no live instance is drained for good, and no dead one remains.

``FAULTS=all`` plays many more runs, other ones each time; ``MODEL_SEED`` repeats those of a seed, ``MODEL_RUNS``
is their number, and with ``MODEL_SHRINK=no`` the first failure is reported as it is: shrinking one takes minutes.

What it found stands below, each as a test of its own. Where the model excludes what cannot be distinguished by the
registry, its code says ASSUMED.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import looptime
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from loguru import logger

from tests.fakes.eureka_node import FakeNode
from tests.fakes.outbox import Refusal
from tests.fakes.virtual_time import in_virtual_time
from tests.flows.model import Ending, Kind, Member, Model

T = TypeVar("T")

EVERYTHING = os.environ.get("FAULTS") == "all"
EVERYDAY_SEED = 1
RUNS, STEPS = (int(os.environ.get("MODEL_RUNS", "2000")), 60) if EVERYTHING else (100, 35)

SECONDS = st.integers(1, 120)
WHICH = st.integers(0, 11)
SLOTS = st.integers(0, 3)
KINDS = st.sampled_from(Kind)
ENDINGS = st.sampled_from(Ending)
REGISTERS, READY = st.integers(0, 15), st.integers(0, 40)


class Stories(RuleBasedStateMachine):
    """Whatever may happen, in any order."""

    def __init__(self, made: Counter[str]) -> None:
        super().__init__()
        self.made = made
        logger.disable("controller")
        self.runner = asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(idle_timeout=1, noop_cycles=0))
        self.model = Model()

    def play(self, act: Coroutine[Any, Any, object]) -> None:
        self.made[getattr(act, "__name__", "")] += 1
        self.runner.run(act)

    def teardown(self) -> None:
        try:
            if self.begun:
                self.play(self.model.settle())
        finally:
            if self.begun:
                self.runner.run(self.model.__aexit__())
            self.runner.close()
            logger.enable("controller")

    begun = False

    @initialize(workers=st.integers(1, 2), nodes=st.integers(1, 3), kinds=st.lists(KINDS, min_size=1, max_size=4))
    def begin(self, workers: int, nodes: int, kinds: list[Kind]) -> None:
        self.model = Model(nodes=nodes, workers=workers)
        self.begun = True
        self.play(self.model.__aenter__())
        for slot, kind in enumerate(kinds):
            if self.model.may_appear(kind, slot):
                self.play(self.model.appear(kind, slot=slot, node=slot))
        self.play(self.model.wait(10))

    @invariant()
    def nothing_alive_is_deleted(self) -> None:
        assert not self.model.violations, self.model.violations

    # The cluster.

    @rule(kind=KINDS, slot=SLOTS, registers=REGISTERS, ready=READY, node=st.integers(0, 2))
    def appear(self, kind: Kind, slot: int, registers: int, ready: int, node: int) -> None:
        if self.model.may_appear(kind, slot):
            self.play(self.model.appear(kind, slot=slot, registers=registers, ready=ready, node=node))

    @precondition(lambda self: self.model.free_addresses())
    @rule(
        kind=st.sampled_from([kind for kind in Kind if kind is not Kind.host_network]),
        slot=SLOTS,
        which=WHICH,
        registers=REGISTERS,
        ready=READY,
    )
    def appear_at_a_used_address(self, kind: Kind, slot: int, which: int, registers: int, ready: int) -> None:
        if self.model.may_appear(kind, slot):
            address = pick(self.model.free_addresses(), which)
            self.play(self.model.appear(kind, slot=slot, address=address, registers=registers, ready=ready))

    @precondition(lambda self: self.model.living)
    @rule(which=WHICH, grace=st.sampled_from([1, 30, 90]), lasts=st.integers(0, 90), ending=ENDINGS)
    def terminate(self, which: int, grace: int, lasts: int, ending: Ending) -> None:
        self.play(self.model.terminate(pick(self.model.living, which), grace=grace, lasts=lasts, ending=ending))

    @precondition(lambda self: self.model.living)
    @rule(which=WHICH, grace=st.sampled_from([1, 30]), lasts=st.integers(0, 30), again=st.booleans(), ready=READY)
    def roll(self, which: int, grace: int, lasts: int, again: bool, ready: int) -> None:
        """One is replaced by another, as its controller does it: a StatefulSet waits for the old one's end."""
        old = pick(self.model.living, which)
        self.play(self.model.terminate(old, grace=grace, lasts=lasts, ending=Ending.silent))
        if not self.model.may_appear(old.kind, old.slot):
            self.play(self.model.wait(grace + 2))
        self.succeed(old, again=again, ready=ready)

    @precondition(lambda self: self.model.living)
    @rule(which=WHICH, lasts=st.integers(0, 60), again=st.booleans(), ready=READY)
    def replace_by_force(self, which: int, lasts: int, again: bool, ready: int) -> None:
        """One is deleted without a grace period, and its successor is there at once."""
        old = pick(self.model.living, which)
        self.play(self.model.delete(old, lasts=lasts, ending=Ending.silent))
        self.succeed(old, again=again, ready=ready)

    def succeed(self, old: Member, *, again: bool, ready: int) -> None:
        if self.model.may_appear(old.kind, old.slot):
            address = old.pod.ip if again and old.pod.ip in self.model.free_addresses() else ""
            self.play(self.model.appear(old.kind, slot=old.slot, address=address, registers=1, ready=ready))
            self.play(self.model.wait(3))

    @precondition(lambda self: self.model.objects)
    @rule(which=WHICH, lasts=st.integers(0, 150), ending=ENDINGS)
    def delete(self, which: int, lasts: int, ending: Ending) -> None:
        self.play(self.model.delete(pick(self.model.objects, which), lasts=lasts, ending=ending))

    @precondition(lambda self: self.model.living)
    @rule(which=WHICH)
    def fail(self, which: int) -> None:
        self.play(self.model.fail(pick(self.model.living, which)))

    @precondition(lambda self: self.running())
    @rule(which=WHICH, away=st.integers(1, 60), registers=REGISTERS, ready=READY)
    def process_dies(self, which: int, away: int, registers: int, ready: int) -> None:
        member = pick(self.running(), which)
        self.play(self.model.process_dies(member, away=away, registers=registers, ready=ready))

    def running(self) -> list[Member]:
        return [member for member in self.model.living if member.process.alive]

    @precondition(lambda self: self.untouched())
    @rule(which=WHICH)
    def person_takes_out(self, which: int) -> None:
        self.play(self.model.person_takes_out(pick(self.untouched(), which)))

    def untouched(self) -> list[Member]:
        return [member for member in self.model.living if self.model.may_be_taken_out_by_a_person(member)]

    # The controller and its broker.

    @precondition(lambda self: self.model.connected)
    @rule()
    def interrupt_feed(self) -> None:
        self.play(self.model.interrupt_feed())

    @precondition(lambda self: not self.model.connected)
    @rule()
    def list_pods(self) -> None:
        self.play(self.model.list_pods())

    @rule(which=WHICH, within=st.integers(0, 12), reading=st.integers(0, 20))
    def crash_a_worker(self, which: int, within: int, reading: int) -> None:
        replica = pick(self.model.workers, which)
        replica.reading = reading
        self.play(self.model.crash(replica, within))

    @rule(within=st.integers(0, 4), reading=st.integers(0, 20))
    def crash_the_watch(self, within: int, reading: int) -> None:
        self.model.watch.reading = reading
        self.play(self.model.crash(self.model.watch, within))

    @rule(which=WHICH)
    def lose_a_channel(self, which: int) -> None:
        self.play(self.model.lose_channel(pick(self.model.workers, which)))

    @rule(which=WHICH, seconds=SECONDS)
    def cut_a_log(self, which: int, seconds: int) -> None:
        replicas = [*self.model.workers, self.model.watch]
        self.play(self.model.cut_log(pick(replicas, which), seconds))

    @precondition(lambda self: self.model.repeatable)
    @rule(which=st.integers(0, 30))
    def repeat_an_order(self, which: int) -> None:
        self.play(self.model.repeat(pick(self.model.repeatable, -1 - which)))

    @rule(delays=st.lists(st.sampled_from([0, 1, 7, 40]), min_size=1, max_size=4))
    def delay_messages(self, delays: list[int]) -> None:
        self.play(self.model.delay(delays))

    @rule(refusal=st.sampled_from([None, *Refusal]))
    def refuse_publishes(self, refusal: Refusal | None) -> None:
        self.play(self.model.refuse(refusal))

    # The registry.

    @precondition(lambda self: self.healthy())
    @rule(which=WHICH)
    def kill_a_node(self, which: int) -> None:
        self.play(self.model.lose_memory(pick(self.healthy(), which)))

    @precondition(lambda self: self.healthy())
    @rule(which=WHICH)
    def freeze_a_node(self, which: int) -> None:
        self.play(self.model.freeze(pick(self.healthy(), which)))

    @precondition(lambda self: len(self.healthy()) < len(self.model.nodes))
    @rule(which=WHICH)
    def repair_a_node(self, which: int) -> None:
        self.play(self.model.repair(pick([node for node in self.model.nodes if node.trouble is not None], which)))

    def healthy(self) -> list[FakeNode]:
        return [node for node in self.model.nodes if node.trouble is None]

    # Time.

    @rule(seconds=SECONDS)
    def wait(self, seconds: int) -> None:
        self.play(self.model.wait(seconds))

    @rule(seconds=st.sampled_from([1, 5, 30, 60]))
    def wait_a_usual_time(self, seconds: int) -> None:
        self.play(self.model.wait(seconds))

    @precondition(lambda self: self.model.members)
    @rule()
    def settle(self) -> None:
        self.play(self.model.settle())


def pick(several: list[T], which: int) -> T:
    return several[which % len(several)]


@pytest.mark.timeout(1_800 if EVERYTHING else 300)
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
    def machine() -> Stories:
        return Stories(made)

    run_state_machine_as_test(machine, settings=usual)  # type: ignore[arg-type]
    print(f"{made.total()} steps: {dict(made.most_common())}")
    assert made.total() >= 1_000


@in_virtual_time
async def test_a_short_lived_pod_with_a_reused_address_is_drained_by_its_name() -> None:
    async with Model(nodes=1) as model:
        old = await model.appear(Kind.named)
        await model.wait(10)
        await model.interrupt_feed()
        await model.delete(old, lasts=0, ending=Ending.silent)
        await model.appear(Kind.named, address=old.pod.ip)
        await model.settle()


@in_virtual_time
async def test_a_node_that_was_frozen_during_a_takeover_does_not_end_the_drain() -> None:
    async with Model(nodes=2, workers=2) as model:
        old = await model.appear(Kind.stateful)
        await model.wait(10)
        await model.terminate(old, grace=1, lasts=0, ending=Ending.silent)
        await model.wait(3)
        await model.appear(Kind.stateful, registers=1, ready=0)
        await model.interrupt_feed()
        await model.freeze(model.nodes[0])
        await model.wait(5)
        await model.settle()


@in_virtual_time
async def test_an_id_that_names_no_pod_is_handed_over_after_a_crash_too() -> None:
    async with Model(nodes=2) as model:
        old = await model.appear(Kind.fixed_id)
        await model.wait(10)
        model.workers[0].fate.doom_at("before postpone")
        await model.terminate(old, grace=30, lasts=0, ending=Ending.silent)
        await model.appear(Kind.fixed_id, registers=1, ready=0)
        await model.settle()


@in_virtual_time
async def test_a_young_instance_is_found_beside_its_predecessors_at_the_address() -> None:
    async with Model(nodes=1) as model:
        old = await model.appear(Kind.by_address)
        await model.wait(40)
        await model.delete(old, lasts=0, ending=Ending.silent)
        await model.wait(20)
        young = await model.appear(Kind.named, address=old.pod.ip, registers=1, ready=0)
        await model.wait(4)
        await model.terminate(young, grace=30, lasts=5, ending=Ending.silent)
        await model.settle()


@in_virtual_time
async def test_two_dead_holders_of_one_id_at_different_nodes_are_both_gone() -> None:
    async with Model(nodes=2) as model:
        await model.appear(Kind.named, slot=0)
        await model.appear(Kind.named, slot=1)
        old = await model.appear(Kind.stateful, slot=2)
        await model.wait(10)
        await model.freeze(model.nodes[0])
        await model.delete(old, lasts=0, ending=Ending.silent)
        successor = await model.appear(Kind.stateful, slot=2, registers=1, ready=0)
        await model.wait(3)
        await model.fail(successor)
        await model.settle()


@in_virtual_time
async def test_another_handlings_write_is_no_heartbeat_after_the_end() -> None:
    async with Model(nodes=2, workers=2) as model:
        own = await model.appear(Kind.random_id)
        await model.wait(40)
        model.watch.broker.delays_of_messages.extend([0.3])
        await model.fail(own)
        await model.repeat(model.broker.sent[-1])
        await model.settle()
