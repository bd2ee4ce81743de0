"""A hundred takeovers of each kind, with and without a restart of Eureka nodes in between: each ends as it should.

With FAULTS=all a hundred of each (TAKEOVERS: so many; TAKEOVER_KINDS: of these names only), else a few. The seconds
until the new process serves are in the table at the end; the promise is 5.
"""

import asyncio
import os
import time

import pytest

from tests.faults.takeover import QUICK, STOCK, Kind, Takeover
from tests.faults.takeover_stage import (
    ALL,
    SETTLES_WITHIN,
    NoteTakeovers,
    Stages,
    judge,
    pass_on,
    play,
    take_over,
    watch_on,
)
from tests.faults.takeover_table import Between, EndedTakeover
from tests.stack.eureka_nodes import EurekaNodes

RUNS = int(os.environ.get("TAKEOVERS") or (100 if ALL else 2))
"""Of each kind, with and without a restart."""
FEW = (Kind.stateful, Kind.reused_ip, Kind.fixed)
CHOSEN = os.environ.get("TAKEOVER_KINDS", "").split()
MANY = (*FEW, Kind.unregistered, Kind.deregistered)
KINDS = tuple(kind for kind in Kind if kind.name in CHOSEN) or (MANY if ALL else FEW)
AT_ONCE = 100
START_INTERVAL = 0.3
"""Seconds between the first ones."""
MAX_AGE = 20.0 if ALL else 2.0
"""Seconds that an old one has been registered when it is deleted: some are no older than the clocks may differ."""
RETENTION = 25.0
"""Seconds, so that the override is still there after a restart."""
BYSTANDERS = 6
TURNS = 3
"""In how many turns those of each restart come: fewer at once leave the nodes time to replicate."""

pytestmark = pytest.mark.faults


async def test_who_takes_over_a_drained_id_serves_within_seconds_for_good(
    stages: Stages, note_takeovers: NoteTakeovers
) -> None:
    async def run(takeover: Takeover) -> None:
        if takeover.number < AT_ONCE:
            await asyncio.sleep(takeover.number * START_INTERVAL)
        await takeover.begin()
        await asyncio.sleep(takeover.dice.uniform(0, MAX_AGE))
        await pass_on(takeover)
        await take_over(takeover)
        await watch_on(takeover)

    renewals = (QUICK, STOCK) if ALL else (QUICK,)
    count = RUNS * len(KINDS)
    async with stages.make(
        count, kinds=KINDS, renewals=renewals, bystanders=BYSTANDERS, begun=False, at_once=AT_ONCE
    ) as stage:
        await play(stage.takeovers, run, at_once=AT_ONCE)
        judge(stage, [EndedTakeover(one, Between.nothing, one.up_at) for one in stage.takeovers], note_takeovers)


ROUNDS = [(Between.node_restarted, 0)]
if ALL:
    ROUNDS = [(between, turn) for turn in range(TURNS) for between in (Between.node_restarted, Between.nodes_restarted)]


@pytest.mark.parametrize(("between", "turn"), ROUNDS)
async def test_who_takes_over_after_a_restart_of_eureka_serves_for_good(
    stages: Stages, eureka_pair: EurekaNodes, note_takeovers: NoteTakeovers, between: Between, turn: int
) -> None:
    dice = stages.dice
    down = dice.randrange(2)
    nodes = [eureka_pair.nodes[down]] if between is Between.node_restarted else eureka_pair.nodes[:: 1 - 2 * down]
    kinds = [kind for kind in KINDS if kind.leaves_override or between is Between.node_restarted]
    begins: dict[Takeover, float | None] = {}
    restarted = asyncio.Event()

    async def come(takeover: Takeover) -> None:
        # One that registers before the node is back, and heartbeats only half a minute later, may be missing there for
        # that long, whoever else does what.
        early = between is Between.node_restarted and takeover.renewal_seconds == QUICK and takeover.dice.random() < 0.5
        if not early:
            await restarted.wait()
        await asyncio.sleep(takeover.dice.uniform(0, 5 if ALL else 1))
        await take_over(takeover)
        await restarted.wait()
        await watch_on(takeover, until_retained=ALL)
        # From when every node has heard of it: one that is back hears of what is new from its peer, seconds later.
        begins[takeover] = takeover.known_at(max(takeover.up_at or 0.0, back_at))

    async with stages.make(
        (-(-RUNS // TURNS // 2) if ALL else RUNS) * len(kinds),
        kinds=kinds,
        renewals=(QUICK, STOCK) if ALL else (QUICK,),
        retention=RETENTION,
        bystanders=BYSTANDERS,
    ) as stage:
        await play(stage.takeovers, pass_on, at_once=len(stage.takeovers))
        back_at = 0.0
        coming = asyncio.create_task(play(stage.takeovers, come, at_once=len(stage.takeovers)))
        for node in nodes:
            await (node.kill() if dice.random() < 0.5 else node.stop())
            await node.start()
        back_at = time.monotonic()
        restarted.set()
        await coming
        restarted_nodes = tuple(eureka_pair.nodes.index(node) for node in nodes)
        ended = [
            EndedTakeover(one, between, begins.get(one), (begins.get(one) or back_at) + SETTLES_WITHIN, restarted_nodes)
            for one in stage.takeovers
        ]
        judge(stage, ended, note_takeovers)
