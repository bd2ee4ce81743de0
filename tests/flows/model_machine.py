"""The rules by which a history of the model goes on: whatever may happen, in any order, as hypothesis draws it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, TypeVar

import looptime
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from loguru import logger

from controller.domain.commands import RestoreCommand, WorkItem
from controller.domain.events import FINAL
from controller.domain.instances import DOWN, OUT_OF_SERVICE
from tests.fakes.eureka_node import FakeNode
from tests.fakes.node_trouble import Trouble
from tests.fakes.outbox import Refusal
from tests.flows.model import Clocks, Model
from tests.flows.model_cluster import ModelCluster
from tests.flows.model_kinds import Ending, Kind, Member, StatedUid, StrangerKind
from tests.flows.model_people import ModelPeople

T = TypeVar("T")


class Extra(StrEnum):
    """What a history may have beside pods, processes that crash, and nodes that die; MODEL_EXTRAS chooses."""

    strangers = "strangers"
    shared_ids = "shared_ids"
    slow_nodes = "slow_nodes"
    lying_nodes = "lying_nodes"
    clocks = "clocks"
    people = "people"
    stated_uids = "stated_uids"
    lost_log = "lost_log"
    repetitions = "repetitions"


_chosen = os.environ.get("MODEL_EXTRAS")
EXTRAS = frozenset(Extra) if _chosen is None else frozenset(map(Extra, filter(None, _chosen.split(","))))

SECONDS = st.integers(1, 120)
WHICH = st.integers(0, 11)
SLOTS = st.integers(0, 3)
KINDS = st.sampled_from([kind for kind in Kind if kind is not Kind.shared_id or Extra.shared_ids in EXTRAS])
WITH_AN_ADDRESS = KINDS.filter(lambda kind: kind is not Kind.host_network)
ENDINGS = st.sampled_from(Ending)
REGISTERS, READY = st.integers(0, 15), st.integers(0, 40)
STATED = st.sampled_from(StatedUid if Extra.stated_uids in EXTRAS else [StatedUid.none])
AHEAD = st.sampled_from([0, 0, -300, -90, 90, 300])
CLOCKS = st.builds(
    Clocks,
    cluster=AHEAD,
    machines=AHEAD,
    registry=st.tuples(*[st.tuples(AHEAD, st.sampled_from([0, -2, -1, 1, 2]))] * 3),
)
TROUBLES = st.sampled_from(
    [
        Trouble.frozen,
        *([Trouble.slow] if Extra.slow_nodes in EXTRAS else []),
        *([Trouble.nonsense, Trouble.cut_list] if Extra.lying_nodes in EXTRAS else []),
    ]
)


class Histories(RuleBasedStateMachine):
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

    @initialize(
        workers=st.integers(1, 2),
        nodes=st.integers(1, 3),
        kinds=st.lists(KINDS, min_size=1, max_size=4),
        clocks=CLOCKS if Extra.clocks in EXTRAS else st.just(Clocks()),
    )
    def begin(self, workers: int, nodes: int, kinds: list[Kind], clocks: Clocks) -> None:
        self.model = Model(nodes=nodes, workers=workers, clocks=clocks)
        self.begun = True
        self.play(self.model.__aenter__())
        for slot, kind in enumerate(kinds):
            if self.cluster.may_appear(kind, slot):
                self.play(self.cluster.appear(kind, slot=slot, node=slot))
        self.play(self.model.wait(10))

    @property
    def cluster(self) -> ModelCluster:
        return self.model.cluster

    @property
    def people(self) -> ModelPeople:
        return self.model.people

    @invariant()
    def nothing_of_others_is_touched(self) -> None:
        if self.begun:
            assert not self.model.checks.violations, self.model.checks.violations

    # The cluster.

    @rule(kind=KINDS, slot=SLOTS, registers=REGISTERS, ready=READY, node=st.integers(0, 2), stated=STATED)
    def appear(self, kind: Kind, slot: int, registers: int, ready: int, node: int, stated: StatedUid) -> None:
        if self.cluster.may_appear(kind, slot):
            self.play(
                self.cluster.appear(kind, slot=slot, registers=registers, ready=ready, node=node, stated_uid=stated)
            )

    @precondition(lambda self: self.cluster.free_addresses())
    @rule(kind=WITH_AN_ADDRESS, slot=SLOTS, which=WHICH, registers=REGISTERS, ready=READY, stated=STATED)
    def appear_at_a_used_address(
        self, kind: Kind, slot: int, which: int, registers: int, ready: int, stated: StatedUid
    ) -> None:
        if self.cluster.may_appear(kind, slot):
            address = pick(self.cluster.free_addresses(), which)
            self.play(
                self.cluster.appear(
                    kind, slot=slot, address=address, registers=registers, ready=ready, stated_uid=stated
                )
            )

    @precondition(lambda self: self.cluster.living)
    @rule(which=WHICH, grace=st.sampled_from([1, 30, 90]), lasts=st.integers(0, 90), ending=ENDINGS)
    def terminate(self, which: int, grace: int, lasts: int, ending: Ending) -> None:
        self.play(self.cluster.terminate(pick(self.cluster.living, which), grace=grace, lasts=lasts, ending=ending))

    @precondition(lambda self: self.cluster.living)
    @rule(which=WHICH, grace=st.sampled_from([1, 30]), lasts=st.integers(0, 30), again=st.booleans(), ready=READY)
    def roll(self, which: int, grace: int, lasts: int, again: bool, ready: int) -> None:
        """One is replaced by another, as its controller does it: a StatefulSet waits for the old one's end."""
        old = pick(self.cluster.living, which)
        self.play(self.cluster.terminate(old, grace=grace, lasts=lasts, ending=Ending.silent))
        if not self.cluster.may_appear(old.kind, old.slot):
            self.play(self.model.wait(grace + 2))
        self.succeed(old, again=again, ready=ready)

    @precondition(lambda self: self.cluster.living)
    @rule(which=WHICH, lasts=st.integers(0, 60), again=st.booleans(), ready=READY)
    def replace_by_force(self, which: int, lasts: int, again: bool, ready: int) -> None:
        """One is deleted without a grace period, and its successor is there at once."""
        old = pick(self.cluster.living, which)
        self.play(self.cluster.delete(old, lasts=lasts, ending=Ending.silent))
        self.succeed(old, again=again, ready=ready)

    def succeed(self, old: Member, *, again: bool, ready: int) -> None:
        if self.cluster.may_appear(old.kind, old.slot):
            address = old.pod.ip if again and old.pod.ip in self.cluster.free_addresses() else ""
            self.play(
                self.cluster.appear(
                    old.kind, slot=old.slot, address=address, registers=1, ready=ready, stated_uid=old.stated_uid
                )
            )
            self.play(self.model.wait(3))

    @precondition(lambda self: self.cluster.objects)
    @rule(which=WHICH, lasts=st.integers(0, 150), ending=ENDINGS)
    def delete(self, which: int, lasts: int, ending: Ending) -> None:
        self.play(self.cluster.delete(pick(self.cluster.objects, which), lasts=lasts, ending=ending))

    @precondition(lambda self: self.cluster.living)
    @rule(which=WHICH)
    def fail(self, which: int) -> None:
        self.play(self.cluster.fail(pick(self.cluster.living, which)))

    @precondition(lambda self: self.running())
    @rule(which=WHICH, away=st.integers(1, 60), registers=REGISTERS, ready=READY)
    def process_dies(self, which: int, away: int, registers: int, ready: int) -> None:
        member = pick(self.running(), which)
        self.play(self.cluster.process_dies(member, away=away, registers=registers, ready=ready))

    def running(self) -> list[Member]:
        return [member for member in self.cluster.living if member.process.alive]

    # Beside it.

    @precondition(lambda self: Extra.strangers in EXTRAS and self.cluster.members)
    @rule(
        kind=st.sampled_from(StrangerKind),
        which=WHICH,
        registers=st.integers(4, 20),
        ready=READY,
        node=st.integers(0, 2),
    )
    def stranger_appears(self, kind: StrangerKind, which: int, registers: int, ready: int, node: int) -> None:
        beside = [member for member in self.cluster.members if self.cluster.may_stand_beside(kind, member)]
        if beside:
            self.play(
                self.cluster.stranger_appears(kind, pick(beside, which), registers=registers, ready=ready, node=node)
            )

    @precondition(lambda self: any(one.process.alive for one in self.cluster.strangers))
    @rule(which=WHICH)
    def stranger_dies(self, which: int) -> None:
        alive = [one for one in self.cluster.strangers if one.process.alive]
        self.play(self.cluster.stranger_dies(pick(alive, which)))

    @precondition(lambda self: any(map(self.people.may_take_out, self.cluster.living)))
    @rule(which=WHICH, status=st.sampled_from([OUT_OF_SERVICE, DOWN]))
    def person_takes_out(self, which: int, status: str) -> None:
        member = pick(list(filter(self.people.may_take_out, self.cluster.living)), which)
        self.play(self.people.take_out(member, status))

    @precondition(lambda self: Extra.people in EXTRAS and self.meanwhile())
    @rule(which=WHICH, status=st.sampled_from([OUT_OF_SERVICE, DOWN]))
    def person_takes_out_meanwhile(self, which: int, status: str) -> None:
        self.play(self.people.take_out(pick(self.meanwhile(), which), status))

    def meanwhile(self) -> list[Member]:
        return list(filter(self.people.may_take_out_meanwhile, self.cluster.members))

    @precondition(lambda self: Extra.people in EXTRAS and any(map(self.people.may_lift, self.cluster.members)))
    @rule(which=WHICH)
    def person_lifts(self, which: int) -> None:
        self.play(self.people.lift(pick(list(filter(self.people.may_lift, self.cluster.members)), which)))

    # The controller and its broker.

    @precondition(lambda self: self.cluster.connected)
    @rule()
    def interrupt_feed(self) -> None:
        self.play(self.model.interrupt_feed())

    @precondition(lambda self: not self.cluster.connected)
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
        self.play(self.model.cut_log(pick(self.model.replicas, which), seconds))

    @precondition(lambda _: Extra.lost_log in EXTRAS)
    @rule(seconds=st.integers(0, 15))
    def delete_the_log(self, seconds: int) -> None:
        self.play(self.model.delete_log(seconds))

    @precondition(lambda _: Extra.lost_log in EXTRAS)
    @rule(seconds=SECONDS)
    def stop_the_log(self, seconds: int) -> None:
        self.play(self.model.stop_log(seconds))

    @precondition(lambda self: self.repeatable())
    @rule(which=st.integers(0, 30))
    def repeat_an_order(self, which: int) -> None:
        self.play(self.model.repeat(pick(self.repeatable(), -1 - which)))

    def repeatable(self) -> list[WorkItem]:
        if Extra.repetitions in EXTRAS:
            return self.model.repeatable
        ended = {event.drain_id for event in self.model.broker.happened if event.outcome in FINAL}
        return [one for one in self.model.repeatable if isinstance(one, RestoreCommand) or one.drain_id not in ended]

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
    @rule(which=WHICH, trouble=TROUBLES)
    def trouble_a_node(self, which: int, trouble: Trouble) -> None:
        self.play(self.model.trouble(pick(self.healthy(), which), trouble))

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

    @precondition(lambda self: self.cluster.members)
    @rule()
    def settle(self) -> None:
        self.play(self.model.settle())


def pick(several: list[T], which: int) -> T:
    return several[which % len(several)]
