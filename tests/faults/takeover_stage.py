"""The product beside old pods that were there before it, the living ones beside those, and how all of it is played."""

import asyncio
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.event_log import reason_of
from tests.e2e.product import APART, Product, product
from tests.faults.street import Sample, Street, changes, street
from tests.faults.takeover import QUICK, RETENTION, SAMPLE_INTERVAL, STOCK, Kind, Takeover
from tests.faults.takeover_table import EndedTakeover
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_client import Client, Registration
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import NeverHappenedError, until

ALL = os.environ.get("FAULTS") == "all"
SETTINGS = {"instance_id_templates": "{hostname}:{app}:{port},{ip}:{app}:{port}"}
"""A pod is found past the servers' response cache, by what its annotations and its ports say."""
AT_ONCE = 16
MAX_SAMPLES = 250
"""In a second."""
MARGIN = 5.0
"""Seconds that the samples go on after the old one's retention."""
BYSTANDER_INTERVAL = 1.0
WITHIN = 15.0
"""Seconds until the new one serves. The promise is 5, on a machine that has time for it: the table shows."""
SETTLES_WITHIN = 10.0
"""Seconds in which a node that was away has heard what its peer kept for it."""
NoteTakeovers = Callable[[Sequence[EndedTakeover]], None]


@dataclass
class Stage:
    """The product, as watch and work apart, and old pods that were there before it."""

    running: Product
    street: Street
    takeovers: list[Takeover]
    bystanders: list[tuple[Client, list[Sample]]] = field(default_factory=list)

    @property
    def watch(self) -> ControllerProcess:
        return self.running.processes[0]

    def harmed_bystanders(self) -> list[str]:
        """What was seen of a living process that was out of service."""
        return [
            f"{client.registration} lives and was out: {changes(samples, samples[0].at)}"
            for client, samples in self.bystanders
            if any(sample.is_held for sample in samples)
        ]

    def events_of(self, one: Takeover) -> str:
        """What the event log says of it, for whoever looks for the cause."""
        uids = {pod.uid for pod in (one.old_pod, one.new_pod) if pod is not None}
        reported = [e for e in self.running.log.events if e["uid"] in uids or e["instance_id"] == one.instance_id]
        return "\n".join(f"  {e['at']} {e['pod']} {e['drain_id']} {e['outcome']} {reason_of(e)}" for e in reported)


@dataclass(frozen=True)
class Stages:
    """Makes them, on servers that all tests share."""

    folder: Path
    cluster: Cluster
    broker: RabbitMq
    eureka: EurekaNodes
    namespace: str
    dice: random.Random

    @asynccontextmanager
    async def make(
        self,
        count: int,
        *,
        kinds: Sequence[Kind] = tuple(Kind),
        renewals: Sequence[int] = (QUICK, STOCK),
        retention: float = RETENTION,
        bystanders: int = 0,
        begun: bool = True,
        at_once: int = 1_000,
    ) -> AsyncIterator[Stage]:
        """A stage with so many takeovers, as `mixed` has them.

        `begun`: their old pods are there before the product. `at_once`: so many of them are sampled at a time.
        """
        async with street(self.cluster, self.eureka, self.namespace) as place:
            takeovers = mixed(place, count, self.dice, kinds=kinds, renewals=renewals)
            for one in takeovers:
                one.retention = retention
                one.sample_interval = max(SAMPLE_INTERVAL, min(count, at_once) / MAX_SAMPLES)
            if begun:
                await play(takeovers, Takeover.begin)
            async with product(
                self.folder,
                self.cluster,
                self.broker,
                self.eureka,
                self.namespace,
                roles=APART,
                settings=SETTINGS,
            ) as running:
                stage = Stage(running, place, takeovers)
                watching = [asyncio.create_task(self._stand_by(stage, one)) for one in takeovers[:bystanders]]
                try:
                    yield stage
                finally:
                    for task in watching:
                        task.cancel()
                    await asyncio.gather(*watching, *(one.stop() for one in takeovers), return_exceptions=True)

    async def _stand_by(self, stage: Stage, one: Takeover) -> None:
        """Another pod of the same app lives on."""
        found = await stage.street.pod(f"{one.tag}-by", {"eureka.drain/app": one.app}, port=one.port)
        own = Registration(one.app, f"{found.name}:{one.app}:{one.port}", found.ip, found.name, one.port, QUICK)
        client, samples = stage.street.client(own, one.number % 2), list[Sample]()
        await client.say("UP")
        stage.bystanders.append((client, samples))
        while True:
            samples.append(await stage.street.look(own.app, own.instance_id))
            await asyncio.sleep(BYSTANDER_INTERVAL)


def mixed(
    place: Street, count: int, dice: random.Random, *, kinds: Sequence[Kind], renewals: Sequence[int]
) -> list[Takeover]:
    """So many takeovers, of all kinds and heartbeats alike."""
    # Every kind meets every heartbeat: the heartbeat changes after each round of kinds.
    return [
        Takeover(
            place,
            kinds[number % len(kinds)],
            f"{kinds[number % len(kinds)].name.replace('_', '-')}-{number}-{place.mark}",
            renewals[number // len(kinds) % len(renewals)],
            random.Random(dice.random()),
            number,
        )
        for number in range(count)
    ]


def seeded_dice() -> random.Random:
    """As the last time where FAULTS_SEED says so."""
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1_000_000))
    print(f"FAULTS_SEED={seed}")
    return random.Random(seed)


async def play(
    takeovers: Sequence[Takeover], act: Callable[[Takeover], Awaitable[None]], *, at_once: int = AT_ONCE
) -> None:
    """Each on its own, some at a time; one that fails is reported, stands still, and does not stop the others."""
    slots = asyncio.Semaphore(at_once)

    async def one(takeover: Takeover) -> None:
        async with slots:
            if takeover.troubles:
                return
            try:
                await act(takeover)
            except NeverHappenedError as error:
                takeover.troubles.append(f"{error}; {takeover.record()}")

    await asyncio.gather(*(one(takeover) for takeover in takeovers))


async def pass_on(takeover: Takeover) -> None:
    """The old one goes, some of them outright."""
    await asyncio.sleep(takeover.dice.uniform(0, 1))
    await takeover.drain(outright=takeover.dice.random() < 0.5)


async def take_over(takeover: Takeover) -> None:
    """The new one comes."""
    await asyncio.sleep(takeover.dice.uniform(0, 2))
    await takeover.succeed()
    await asyncio.sleep(takeover.dice.uniform(0.2, 2))
    await takeover.be_up()


async def watch_on(takeover: Takeover, *, until_retained: bool = True) -> None:
    """Until it serves, and then for some seconds, or until well after the old one's retention."""
    assert takeover.up_at is not None
    since = takeover.up_at
    await until(lambda: takeover.serves(since), f"{takeover.label} serving at every node", timeout=60)
    retained_for = takeover.retained_until - time.monotonic() if until_retained else 0.0
    await asyncio.sleep(max(0.0, retained_for) + MARGIN)
    await takeover.stop()


def judge(stage: Stage, ended: Sequence[EndedTakeover], note_takeovers: NoteTakeovers) -> None:
    """Put them into the table, and complain of what is wrong."""
    note_takeovers(ended)
    wrong = stage.harmed_bystanders()
    for one in ended:
        if found := one.complaints:
            wrong += [*found, stage.events_of(one.takeover)]
        elif (took := one.took) is not None and took > WITHIN:
            wrong.append(f"{one.takeover.label} took {took:.1f} s: {one.takeover.record()}")
    assert not wrong, "\n".join(wrong)
