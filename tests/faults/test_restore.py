"""A process that takes over a drained id serves again, at every node, for good; no other override is lifted."""

import asyncio
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.product import APART, Product, product
from tests.faults.takeovers import (
    AGE,
    QUICK,
    SETTINGS,
    STOCK,
    Handover,
    Kind,
    Registration,
    Sample,
    Street,
    events_of,
    mixed,
    street,
    table,
)
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import NeverHappenedError, until

ALL = os.environ.get("FAULTS") == "all"
MINUTES = pytest.mark.skipif(not ALL, reason="minutes long: FAULTS=all")
AT_ONCE = 16
WITHIN = 15.0
"""Seconds. The promise is 5, on a machine that has time for it: the table tells."""
SETTLES_WITHIN = 10.0
"""Seconds in which a node that was away has heard what its peer kept for it."""
MARGIN = 5.0
"""Seconds that the samples go on after the old one's retention."""
OUT = "OUT_OF_SERVICE, override OUT_OF_SERVICE"
ON_PURPOSE_FOR = 20.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@dataclass
class Stage:
    """The product, as watch and work apart, and old pods that were there before it."""

    running: Product
    street: Street
    handovers: list[Handover]

    @property
    def watch(self) -> ControllerProcess:
        return self.running.processes[0]


MakeStage = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest_asyncio.fixture(loop_scope="session")
async def stage(
    tmp_path: Path, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes, namespace: str, dice: random.Random
) -> AsyncIterator[MakeStage]:
    """Makes a stage with as many handovers, as `mixed` takes them."""

    @asynccontextmanager
    async def make(
        count: int, *, kinds: Sequence[Kind] = tuple(Kind), renewals: Sequence[int] = (QUICK, STOCK)
    ) -> AsyncIterator[Stage]:
        async with street(cluster, eureka_pair, namespace) as place:
            handovers = mixed(place, count, dice, kinds=kinds, renewals=renewals)
            await _all(handovers, Handover.begin)
            async with product(
                tmp_path, cluster, broker, eureka_pair, namespace, roles=APART, settings=SETTINGS
            ) as running:
                yield Stage(running, place, handovers)

    yield make


@pytest.fixture
def dice() -> random.Random:
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1_000_000))
    print(f"FAULTS_SEED={seed}")
    return random.Random(seed)


async def _all(handovers: Sequence[Handover], act: Callable[[Handover], Awaitable[None]]) -> None:
    """Each on its own, some at a time; one that fails is reported, stands still, and does not stop the others."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(handover: Handover) -> None:
        async with slots:
            if handover.troubles:
                return
            try:
                await act(handover)
            except NeverHappenedError as error:
                handover.troubles.append(f"{error}; {handover.record()}")

    await asyncio.gather(*(one(handover) for handover in handovers))


async def _pass_on(handover: Handover, *, age: float = AGE) -> None:
    """The old one goes, some of them outright."""
    await handover.grow_old(age)
    await asyncio.sleep(handover.dice.uniform(0, 1))
    await handover.drain(outright=handover.dice.random() < 0.5)


async def _take_over(handover: Handover) -> None:
    await asyncio.sleep(handover.dice.uniform(0, 2))
    await handover.succeed()
    await asyncio.sleep(handover.dice.uniform(0.2, 2))
    await handover.be_up()


async def _watch_on(handover: Handover) -> None:
    """Until it serves, and then until well after the old one's retention."""
    assert handover.up_at is not None
    since = handover.up_at
    await until(lambda: handover.serves(since), f"{handover.label} serving at every node", timeout=60)
    await asyncio.sleep(max(5.0, handover.retained_until + MARGIN - time.monotonic()))
    await handover.stop()


def _judge(
    stage: Stage,
    since: str,
    begins: Sequence[float | None],
    capsys: pytest.CaptureFixture[str],
    *,
    settled_at: float = 0.0,
) -> None:
    """Print what was seen, and complain of it."""
    with capsys.disabled():
        print("", *table(stage.handovers, since, begins), sep="\n")
    bad = {one: found for one in stage.handovers if (found := one.complaints(settled_at))}
    records = [f"{one.label}:\n{events_of(stage.running.log.events, one)}" for one in bad]
    assert not bad, "\n".join([*(line for found in bad.values() for line in found), *records])
    for one, begin in zip(stage.handovers, begins, strict=True):
        after = one.seconds(begin, for_good=bool(settled_at))
        assert after is not None
        assert after <= WITHIN, f"{one.label} took {after:.1f} s: {one.record()}"


async def test_a_new_pod_under_a_drained_id_serves_at_every_node_for_good(
    stage: MakeStage, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(handover: Handover) -> None:
        await _pass_on(handover)
        await _take_over(handover)
        await _watch_on(handover)

    async with stage(int(os.environ.get("RESTORE_RUNS") or (100 if ALL else 8))) as made:
        await _all(made.handovers, run)
        _judge(made, "from its UP registration", [one.up_at for one in made.handovers], capsys)


@MINUTES
async def test_a_pod_that_lived_for_seconds_only_is_not_taken_for_its_successor(
    stage: MakeStage, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(handover: Handover) -> None:
        await _pass_on(handover, age=0)
        await _take_over(handover)
        await _watch_on(handover)

    async with stage(16 if ALL else 4, renewals=(QUICK,)) as made:
        await _all(made.handovers, run)
        _judge(made, "from its UP registration", [one.up_at for one in made.handovers], capsys)


@MINUTES
@pytest.mark.parametrize("ending", ["killed", "stopped"] if ALL else ["killed"])
async def test_who_came_while_the_watch_was_down_serves_again_after_its_start(
    stage: MakeStage, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    async with stage(16 if ALL else 8, renewals=(QUICK, STOCK) if ALL else (QUICK,)) as made:
        await _all(made.handovers, _pass_on)
        await (made.watch.stop() if ending == "stopped" else made.watch.kill())
        await _all(made.handovers, _take_over)
        await asyncio.sleep(1)
        await made.watch.start()
        ready_at = time.monotonic()
        await _all(made.handovers, _watch_on)
        _judge(made, "from the watch's being ready", [ready_at for _ in made.handovers], capsys)


@MINUTES
@pytest.mark.parametrize("turn", range(6 if ALL else 1))
async def test_a_node_that_was_cut_off_shows_it_serving_once_it_is_back(
    stage: MakeStage, capsys: pytest.CaptureFixture[str], dice: random.Random, eureka_pair: EurekaNodes, turn: int
) -> None:
    # All register as UP within two seconds; in the middle of that, a node stops answering for some seconds.
    cut = dice.randrange(2)

    async def come(handover: Handover) -> None:
        await handover.succeed(node=1 - cut)
        await handover.wait_for("STARTING, override OUT_OF_SERVICE")

    async def be_up(handover: Handover) -> None:
        await asyncio.sleep(handover.dice.uniform(0, 2))
        await handover.be_up()

    async with stage(8, renewals=(QUICK, STOCK) if ALL else (QUICK,)) as made:
        await _all(made.handovers, _pass_on)
        await _all(made.handovers, come)
        coming = asyncio.create_task(_all(made.handovers, be_up))
        await asyncio.sleep(dice.uniform(0, 2))
        eureka_pair.nodes[cut].pause()
        try:
            await asyncio.gather(coming, asyncio.sleep(dice.uniform(3, 8)))
        finally:
            eureka_pair.nodes[cut].resume()
        back_at = time.monotonic()
        await _all(made.handovers, _watch_on)
        # The node is told in order what it missed: the registration under the old override, and then its lifting. What
        # was lifted there directly may be undone for as long as that takes; no client can prevent it.
        begins = [back_at for _ in made.handovers]
        _judge(made, "from the node's being back", begins, capsys, settled_at=back_at + SETTLES_WITHIN)


async def test_a_new_pod_deleted_right_after_registration_ends_out_of_service(
    stage: MakeStage, capsys: pytest.CaptureFixture[str]
) -> None:
    deleted_at: dict[Handover, float] = {}

    async def run(handover: Handover) -> None:
        await _pass_on(handover)
        await _take_over(handover)
        await asyncio.sleep(handover.dice.uniform(0, 3))
        assert handover.new_pod is not None
        assert handover.new is not None
        deleted_at[handover] = time.monotonic()
        await handover.delete(handover.new_pod, handover.new, outright=handover.dice.random() < 0.5)
        await asyncio.sleep(max(WITHIN, handover.retained_until + MARGIN - time.monotonic()))
        await handover.stop()

    async with stage(40 if ALL else 8, renewals=(QUICK, STOCK) if ALL else (QUICK,)) as made:
        await _all(made.handovers, run)
        bad: list[str] = []
        lasted: dict[str, list[float]] = {}
        for one in made.handovers:
            begin = deleted_at.get(one)
            if begin is None:
                bad += one.troubles
                continue
            served = [sample for sample in one.samples if sample.at > begin and sample.served]
            after = served[-1].at - begin if served else 0.0
            lasted.setdefault(one.kind, []).append(after)
            if after > WITHIN:
                record = f"{one.record()}\n{events_of(made.running.log.events, one)}"
                bad.append(f"{one.label}: served last {after:.1f} s after its deletion: {record}")
        with capsys.disabled():
            print("", "seconds from the new pod's deletion until it was served for the last time", sep="\n")
            for kind, seconds in lasted.items():
                print(f"{kind:<32}", *(f"{second:5.1f}" for second in sorted(seconds)))
        assert not bad, "\n".join(bad)


async def _on_purpose(place: Street, app: str, instance_id: str) -> None:
    """As somebody does who wants to look at an instance in peace: at every node."""
    assert all(await asyncio.gather(*(node.put_status(app, instance_id, "OUT_OF_SERVICE") for node in place.nodes)))


@MINUTES
async def test_an_override_that_somebody_set_on_purpose_is_kept(stage: MakeStage, cluster: Cluster) -> None:
    ids: list[tuple[str, str]] = []

    async def never_drained(place: Street, name: str, *, host_network: bool) -> None:
        app, port = f"app-{name}", 9900 if host_network else 8080
        one = await place.pod(name, {"eureka.drain/app": app}, port=port, host_network=host_network)
        host = cluster.node.name if host_network else name
        client = place.client(Registration(app, f"{host}:{app}:{port}", one.ip, host, port, QUICK), 0)
        await client.say("UP")
        ids.append((app, client.registration.instance_id))

    async with stage(4, renewals=(QUICK,)) as made:

        async def restored(handover: Handover) -> None:
            await _pass_on(handover)
            await _take_over(handover)
            await handover.wait_for("UP", timeout=60)
            await made.running.log.wait_for(handover.name, "restored")
            ids.append((handover.app, handover.instance_id))

        await never_drained(made.street, "lone", host_network=False)
        await never_drained(made.street, "lone-on-the-node", host_network=True)
        await _all(made.handovers, restored)
        assert [one.troubles for one in made.handovers if one.troubles] == []
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
