"""Rolling restarts in the real cluster, as their callers see them, in four ways.

A Spring Cloud LoadBalancer client in a pod calls each service 50 times a second. No manifest of a service or a caller
differs from stock, but the one with the copied hook. ROLLOUTS says how many restarts.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster.ending import Table
from tests.cluster.images import CALLER_IMAGE, SERVICE_IMAGE
from tests.cluster.scene import Object, Scene, is_living
from tests.headline.calls import Call, parse
from tests.install.page import ROOT
from tests.stack.processes import ProcessError
from tests.stack.waiting import until

ROLLOUTS = int(os.environ.get("ROLLOUTS", "5"))
pytestmark = pytest.mark.timeout(600 + 600 * ROLLOUTS)
REPLICAS = 5
PER_SECOND = 50
QUICK_WINDOW_SECONDS = 38
"""What drain-window makes of the stock servers' cache, 30 s, and of what eureka-clients gives: 5 s + 1 s, and 2 s."""
FIRST_NODE, OUT = "http://eureka-0.eureka.infra:8761/eureka", "status?value=OUT_OF_SERVICE"
POLICIES = [ROOT / "manifests" / "components" / name / "policy.yaml" for name in ("drain-window", "eureka-clients")]
GONE_TIMEOUT = 300


@dataclass(frozen=True)
class Way:
    """What is set differently from a stock service and its stock caller."""

    name: str
    """Of the namespace, the Deployment and the app."""
    title: str
    drained: bool = True
    labels: tuple[str, ...] = ()
    """Of its namespace: the components that it has."""
    copies_hook: bool = False

    @property
    def manifest(self) -> str:
        """The service and its caller."""
        text = (Path(__file__).parent / "shop" / "rolling.yaml").read_text()
        hook = f'[sh, -c, "curl -sX PUT {FIRST_NODE}/apps/{self.name.upper()}/$HOSTNAME:{self.name}/{OUT}; sleep 30"]'
        for word, value in {
            "IS_DRAINED": str(self.drained).lower(),
            "GRACE_SECONDS": "60" if self.copies_hook else "30",
            "LIFECYCLE": f"{{preStop: {{exec: {{command: {hook}}}}}}}" if self.copies_hook else "null",
            "REPLICAS": str(REPLICAS),
            "SERVICE_IMAGE": SERVICE_IMAGE,
            "CALLER_IMAGE": CALLER_IMAGE,
            "ROLLED": self.name,
        }.items():
            text = text.replace(word, value)
        return text


BARE = Way("bare", "without any hook")
COPIED = Way("copied", "with the copied hook, without eureka-drain", drained=False, copies_hook=True)
WINDOWED = Way("windowed", "with the window of `drain-window`", labels=("eureka.drain/window",))
QUICK = Way(
    "quick",
    f"with `drain-window` and `eureka-clients`: a window of {QUICK_WINDOW_SECONDS} s",
    labels=("eureka.drain/window", "eureka.drain/clients"),
)
WAYS = (BARE, COPIED, WINDOWED, QUICK)


@dataclass
class Rollout:
    """One restart of a service."""

    seconds: float
    """From the request until the last old pod was gone."""
    old: list[Object]
    """The pods that it has ended."""
    calls: list[Call]

    @property
    def lost(self) -> int:
        return sum(1 for one in self.calls if one.lost)


@dataclass
class Service:
    """One service with its caller, in a namespace of its name."""

    scene: Scene
    way: Way
    rollouts: list[Rollout] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    """By instance."""

    @property
    def name(self) -> str:
        return self.way.name

    @property
    def old(self) -> list[Object]:
        return [pod for one in self.rollouts for pod in one.old]

    @property
    def calls(self) -> list[Call]:
        return [call for one in self.rollouts for call in one.calls]

    async def living(self) -> list[Object]:
        return [one for one in await self.scene.pods(self.name, self.name) if is_living(one)]

    async def new_caller(self) -> None:
        """Be called by a process whose caches begin now, until every instance has answered it."""
        await self.scene.kubectl("-n", self.name, "rollout", "restart", "deployment/caller")
        await self.scene.rolled_out(self.name, "deployment/caller")
        wanted = {instance_of(one, self.name) for one in await self.living()}

        async def is_answered_by_all() -> bool:
            return {one.instance for one in (await self.written())[-PER_SECOND * REPLICAS :] if not one.lost} == wanted

        await until(is_answered_by_all, f"{self.name} answers with all instances", timeout=180, interval=2)

    async def written(self) -> list[Call]:
        """Return what the caller that runs now has written."""
        try:
            text = await self.scene.kubectl("-n", self.name, "exec", "deployment/caller", "--", "cat", "/calls/log")
        except ProcessError:  # it has not begun
            return []
        return parse(text.rpartition("\n")[0].splitlines())

    async def roll(self) -> None:
        """Restart it, and wait until the old pods are gone and their caller can have forgotten them."""
        begun, begun_at = len(await self.written()), time.monotonic()
        old = await self.living()
        await self.scene.kubectl("-n", self.name, "rollout", "restart", f"deployment/{self.name}")
        await self.scene.rolled_out(self.name, f"deployment/{self.name}")

        async def are_gone() -> bool:
            left = {one["metadata"]["uid"] for one in await self.scene.pods(self.name, self.name)}
            return left.isdisjoint(one["metadata"]["uid"] for one in old)

        await until(are_gone, f"the old pods of {self.name} gone", timeout=GONE_TIMEOUT, interval=1)
        seconds = time.monotonic() - begun_at
        await asyncio.sleep(20)
        self.rollouts.append(Rollout(seconds, old, (await self.written())[begun:]))
        for one in old if self.way.drained else ():
            drain = await self.scene.drain_of(one["metadata"]["name"], "out_of_service", "removed", "already_gone")
            self.verdicts[instance_of(one, self.name)] = str(drain["shutdown"])

    @property
    def lost(self) -> Counter[str]:
        """How many calls each instance has lost."""
        return Counter(one.instance for one in self.calls if one.lost)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services(shop: Scene) -> AsyncIterator[list[Service]]:
    """All of them, after all rollouts."""
    policies = "---\n".join([await asyncio.to_thread(policy.read_text) for policy in POLICIES])
    await shop.apply("default", policies)
    made = []
    for way in WAYS:
        await shop.namespace(way.name)
        for label in way.labels:
            await shop.kubectl("label", "namespace", way.name, f"{label}=enabled", "--overwrite")
        await until(partial(has_its_components, shop, way), f"the policies in force in {way.name}", interval=0.5)
        await shop.apply(way.name, way.manifest)
        made.append(Service(shop, way))
    for one in made:
        await shop.rolled_out(one.name, f"deployment/{one.name}")
    for _ in range(ROLLOUTS):
        await asyncio.gather(*(one.new_caller() for one in made))
        for one in made:  # at once, all their JVMs starting would be what is measured
            await one.roll()
    yield made
    for one in made:
        await shop.kubectl("delete", "namespace", one.name, "--wait=false")
    await shop.kubectl("delete", "-f", "-", text=policies)


async def has_its_components(scene: Scene, way: Way) -> bool:
    """Whether a pod that is made now gets what they give: a policy is in force half a second after it was applied."""
    asked = ("run", "asked", "--image=none", "--dry-run=server", "-o", "jsonpath={.spec.containers[0]}")
    container = await scene.kubectl("-n", way.name, *asked)
    given = {"eureka.drain/window": "preStop", "eureka.drain/clients": "PODUID"}
    return all((word in container) is (label in way.labels) for label, word in given.items())


def of(services: list[Service], way: Way) -> Service:
    [found] = [one for one in services if one.way is way]
    return found


def instance_of(pod: Object, app: str) -> str:
    """Return the id as the stock client makes it where no port is set."""
    return f"{pod['metadata']['name']}:{app}"


@pytest.mark.parametrize("way", [WINDOWED, QUICK], ids=lambda way: way.name)
async def test_with_the_window_no_call_is_lost(services: list[Service], way: Way) -> None:
    service = of(services, way)
    assert len(service.old) == ROLLOUTS * REPLICAS
    least = 60 if way is WINDOWED else QUICK_WINDOW_SECONDS
    assert len(service.calls) > ROLLOUTS * least * PER_SECOND
    assert service.lost == Counter()
    assert set(service.verdicts.values()) == {"graceful"}


def test_the_table_has_a_line_of_each(services: list[Service], table: Table) -> None:
    for one in services:
        verdicts = ", ".join(f"{count} {name}" for name, count in Counter(one.verdicts.values()).items())
        lost = " ".join(str(number) for number in sorted(rollout.lost for rollout in one.rollouts))
        took = f"{statistics.median(rollout.seconds for rollout in one.rollouts):.0f} s"
        how = f"{len(one.old)} | {len(one.calls):,} | {one.lost.total():,} | {lost} | {took}"
        table.rollouts.append(f"| {one.way.title} | {ROLLOUTS} | {how} | {verdicts.replace('_', ' ') or '-'} |")
    assert len(table.rollouts) == len(WAYS)


async def test_what_the_verdict_says_agrees_with_the_callers_pod_by_pod(services: list[Service]) -> None:
    bare = of(services, BARE)
    assert set(bare.verdicts.values()) == {"not_graceful"}, "no hook, so SIGTERM came at once"
    verdicts = {name: said for service in services for name, said in service.verdicts.items()}
    losing = {instance for service in services if service.way.drained for instance in service.lost}
    assert {verdicts[one] for one in losing if one in verdicts} <= {"not_graceful"}
    assert losing, "without a window, callers lose something, or this test sees nothing"
