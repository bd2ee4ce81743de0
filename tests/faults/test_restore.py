"""A process that takes over a drained id serves again whatever was away meanwhile; no other override is lifted."""

import asyncio
import time

import pytest

from tests.faults.street import OUT, Sample, Street
from tests.faults.takeover import QUICK, STOCK, Kind, Takeover
from tests.faults.takeover_stage import (
    ALL,
    MARGIN,
    SETTLES_WITHIN,
    WITHIN,
    NoteTakeovers,
    Stages,
    judge,
    pass_on,
    play,
    take_over,
    watch_on,
)
from tests.faults.takeover_table import Between, EndedTakeover
from tests.stack.cluster import Cluster
from tests.stack.eureka_client import Registration
from tests.stack.eureka_nodes import EurekaNodes

MINUTES = pytest.mark.skipif(not ALL, reason="minutes long: FAULTS=all")
KINDS = tuple(kind for kind in Kind if kind.leaves_override)
ON_PURPOSE_FOR = 20.0

pytestmark = pytest.mark.faults


@MINUTES
@pytest.mark.parametrize("ending", ["killed", "stopped"] if ALL else ["killed"])
async def test_who_came_while_the_watch_was_down_serves_again_after_its_start(
    stages: Stages, note_takeovers: NoteTakeovers, ending: str
) -> None:
    async with stages.make(16 if ALL else 8, kinds=KINDS, renewals=(QUICK, STOCK) if ALL else (QUICK,)) as made:
        await play(made.takeovers, pass_on)
        await (made.watch.stop() if ending == "stopped" else made.watch.kill())
        await play(made.takeovers, take_over)
        await asyncio.sleep(1)
        await made.watch.start()
        ready_at = time.monotonic()
        await play(made.takeovers, watch_on)
        judge(made, [EndedTakeover(one, Between.watch_down, ready_at) for one in made.takeovers], note_takeovers)


@MINUTES
@pytest.mark.parametrize("turn", range(6 if ALL else 1))
async def test_a_node_that_was_cut_off_shows_it_serving_once_it_is_back(
    stages: Stages, note_takeovers: NoteTakeovers, eureka_pair: EurekaNodes, turn: int
) -> None:
    # All register as UP within two seconds; in the middle of that, a node stops answering for some seconds.
    dice = stages.dice
    cut = dice.randrange(2)

    async def come(takeover: Takeover) -> None:
        await takeover.succeed(node=1 - cut)
        await takeover.wait_for("STARTING, override OUT_OF_SERVICE")

    async def be_up(takeover: Takeover) -> None:
        await asyncio.sleep(takeover.dice.uniform(0, 2))
        await takeover.be_up()

    async with stages.make(8, kinds=KINDS, renewals=(QUICK, STOCK) if ALL else (QUICK,)) as made:
        await play(made.takeovers, pass_on)
        await play(made.takeovers, come)
        coming = asyncio.create_task(play(made.takeovers, be_up))
        await asyncio.sleep(dice.uniform(0, 2))
        eureka_pair.nodes[cut].pause()
        try:
            await asyncio.gather(coming, asyncio.sleep(dice.uniform(3, 8)))
        finally:
            eureka_pair.nodes[cut].resume()
        back_at = time.monotonic()
        await play(made.takeovers, watch_on)
        # The node is told in order what it missed: the registration under the old override, and then its lifting. What
        # was lifted there directly may be undone for as long as that takes; no client can prevent it.
        settled_at = back_at + SETTLES_WITHIN
        ended = [EndedTakeover(one, Between.node_cut_off, back_at, settled_at) for one in made.takeovers]
        judge(made, ended, note_takeovers)


async def test_a_new_pod_deleted_right_after_registration_ends_out_of_service(stages: Stages) -> None:
    deleted_at: dict[Takeover, float] = {}

    async def run(takeover: Takeover) -> None:
        await pass_on(takeover)
        await take_over(takeover)
        await asyncio.sleep(takeover.dice.uniform(0, 3))
        assert takeover.new_pod is not None
        assert takeover.new is not None
        deleted_at[takeover] = time.monotonic()
        await takeover.delete(takeover.new_pod, takeover.new, outright=takeover.dice.random() < 0.5)
        await asyncio.sleep(max(WITHIN, takeover.retained_until + MARGIN - time.monotonic()))
        await takeover.stop()

    async with stages.make(40 if ALL else 8, kinds=KINDS, renewals=(QUICK, STOCK) if ALL else (QUICK,)) as made:
        await play(made.takeovers, run)
        bad: list[str] = []
        for one in made.takeovers:
            begin = deleted_at.get(one)
            if begin is None:
                bad += one.troubles
                continue
            served = [sample for sample in one.samples if sample.at > begin and sample.served]
            after = served[-1].at - begin if served else 0.0
            if after > WITHIN:
                record = f"{one.record()}\n{made.events_of(one)}"
                bad.append(f"{one.label}: served last {after:.1f} s after its deletion: {record}")
        assert not bad, "\n".join(bad)


async def _on_purpose(place: Street, app: str, instance_id: str) -> None:
    """As somebody does who wants to look at an instance in peace: at every node."""
    assert all(await asyncio.gather(*(node.put_status(app, instance_id, "OUT_OF_SERVICE") for node in place.nodes)))


@MINUTES
async def test_an_override_that_somebody_set_on_purpose_is_kept(stages: Stages, cluster: Cluster) -> None:
    ids: list[tuple[str, str]] = []

    async def never_drained(place: Street, name: str, *, host_network: bool) -> None:
        app, port = f"app-{name}", 9900 if host_network else 8080
        one = await place.pod(name, {"eureka.drain/app": app}, port=port, host_network=host_network)
        host = cluster.node.name if host_network else name
        client = place.client(Registration(app, f"{host}:{app}:{port}", one.ip, host, port, QUICK), 0)
        await client.say("UP")
        ids.append((app, client.registration.instance_id))

    async with stages.make(4, kinds=KINDS, renewals=(QUICK,)) as made:

        async def restored(takeover: Takeover) -> None:
            await pass_on(takeover)
            await take_over(takeover)
            await takeover.wait_for("UP", timeout=60)
            await made.running.log.wait_for(takeover.name, "restored")
            ids.append((takeover.app, takeover.instance_id))

        await never_drained(made.street, "lone", host_network=False)
        await never_drained(made.street, "lone-on-the-node", host_network=True)
        await play(made.takeovers, restored)
        assert [one.troubles for one in made.takeovers if one.troubles] == []
        # What looks like the drain's own override within seconds of its lifting may be a node's that came late.
        await asyncio.sleep(6)
        await asyncio.gather(*(_on_purpose(made.street, app, instance_id) for app, instance_id in ids))
        seen: dict[str, list[Sample]] = {instance_id: [] for _, instance_id in ids}
        # Until every node has it: then nobody may lift it.
        await asyncio.sleep(2)
        begun, restarting = time.monotonic(), None
        while time.monotonic() < begun + ON_PURPOSE_FOR or restarting is None or not restarting.done():
            if restarting is None and time.monotonic() > begun + 4:
                restarting = asyncio.create_task(made.watch.restart())
            for app, instance_id in ids:
                seen[instance_id].append(await made.street.look(app, instance_id))
            await asyncio.sleep(0.2)
        await restarting
    others = {
        name: [sample.seen for sample in samples if not {*sample.seen} <= {None, OUT}] for name, samples in seen.items()
    }
    assert len(others) == 6
    assert {name: found[:3] for name, found in others.items() if found} == {}
