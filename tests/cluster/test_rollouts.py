"""Rolling restarts in the real cluster, as their callers see them: with the window from the policy, and without it.

A stock Spring Cloud LoadBalancer client in a pod calls each service 50 times a second. ROLLOUTS says how many restarts.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
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
WITH_WINDOW, BARE = "windowed", "bare"
REPLICAS = 3
TITLES = {WITH_WINDOW: "with the window of `drain-window`", BARE: "without any hook"}
POLICY = ROOT / "manifests" / "components" / "drain-window"
GONE_TIMEOUT = 300


@dataclass
class Service:
    """One service with its caller, in a namespace of its name."""

    scene: Scene
    name: str
    old: list[Object] = field(default_factory=list)
    """The pods that rollouts have ended."""
    calls: list[Call] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    """By instance."""

    async def living(self) -> list[Object]:
        return [one for one in await self.scene.pods(self.name, self.name) if is_living(one)]

    async def new_caller(self) -> None:
        """Be called by a process whose caches begin now, until every instance has answered it."""
        await self.scene.kubectl("-n", self.name, "rollout", "restart", "deployment/caller")
        await self.scene.rolled_out(self.name, "deployment/caller")
        wanted = {instance_of(one, self.name) for one in await self.living()}

        async def is_answered_by_all() -> bool:
            return {one.instance for one in (await self.written())[-50 * REPLICAS :] if not one.lost} == wanted

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
        begun = len(await self.written())
        old = await self.living()
        await self.scene.kubectl("-n", self.name, "rollout", "restart", f"deployment/{self.name}")
        await self.scene.rolled_out(self.name, f"deployment/{self.name}")

        async def are_gone() -> bool:
            left = {one["metadata"]["uid"] for one in await self.scene.pods(self.name, self.name)}
            return left.isdisjoint(one["metadata"]["uid"] for one in old)

        await until(are_gone, f"the old pods of {self.name} gone", timeout=GONE_TIMEOUT, interval=1)
        await asyncio.sleep(20)
        self.calls += (await self.written())[begun:]
        for one in old:
            drain = await self.scene.drain_of(one["metadata"]["name"], "out_of_service", "removed", "already_gone")
            self.verdicts[instance_of(one, self.name)] = str(drain["shutdown"])
        self.old += old

    @property
    def lost(self) -> Counter[str]:
        """How many calls each instance has lost."""
        return Counter(one.instance for one in self.calls if one.lost)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services(shop: Scene) -> AsyncIterator[list[Service]]:
    """Both of them, after all rollouts."""
    policy = await asyncio.to_thread((POLICY / "policy.yaml").read_text)
    await shop.apply("default", policy)
    made = []
    for name in (WITH_WINDOW, BARE):
        await shop.namespace(name)
        if name == WITH_WINDOW:
            await shop.kubectl("label", "namespace", name, "eureka.drain/window=enabled", "--overwrite")
            await until(lambda: gives_windows(shop, WITH_WINDOW), "the policy in force", interval=0.5)
        text = (Path(__file__).parent / "shop" / "rolling.yaml").read_text().replace("ROLLED", name)
        await shop.apply(name, text.replace("SERVICE_IMAGE", SERVICE_IMAGE).replace("CALLER_IMAGE", CALLER_IMAGE))
        made.append(Service(shop, name))
    for one in made:
        await shop.rolled_out(one.name, f"deployment/{one.name}")
    for _ in range(ROLLOUTS):
        await asyncio.gather(*(one.new_caller() for one in made))
        await asyncio.gather(*(one.roll() for one in made))
    yield made
    for one in made:
        await shop.kubectl("delete", "namespace", one.name, "--wait=false")
    await shop.kubectl("delete", "-f", "-", text=policy)


async def gives_windows(scene: Scene, namespace: str) -> bool:
    """Whether a pod that is made now gets its hook: a policy is in force half a second after it was applied."""
    asked = ("run", "asked", "--image=none", "--dry-run=server", "-o", "jsonpath={.spec.containers[0].lifecycle}")
    return "preStop" in await scene.kubectl("-n", namespace, *asked)


def by_name(services: list[Service], name: str) -> Service:
    [found] = [one for one in services if one.name == name]
    return found


def instance_of(pod: Object, app: str) -> str:
    """Return the id as the stock client makes it where no port is set."""
    return f"{pod['metadata']['name']}:{app}"


async def test_with_the_window_no_call_is_lost(services: list[Service]) -> None:
    service = by_name(services, WITH_WINDOW)
    assert len(service.old) == ROLLOUTS * REPLICAS
    assert len(service.calls) > ROLLOUTS * 60 * 50
    assert service.lost == Counter()
    assert set(service.verdicts.values()) == {"graceful"}


def test_the_table_has_a_line_of_each(services: list[Service], table: Table) -> None:
    for one in services:
        verdicts = ", ".join(f"{count} {name}" for name, count in Counter(one.verdicts.values()).items())
        how = f"{len(one.old)} | {len(one.calls):,} | {one.lost.total():,} | {verdicts.replace('_', ' ')}"
        table.rollouts.append(f"| {TITLES[one.name]} | {ROLLOUTS} | {how} |")
    assert len(table.rollouts) == len(TITLES)


async def test_what_the_verdict_says_agrees_with_the_callers_pod_by_pod(services: list[Service]) -> None:
    bare = by_name(services, BARE)
    assert set(bare.verdicts.values()) == {"not_graceful"}, "no hook, so SIGTERM came at once"
    losing = {instance for service in services for instance in service.lost}
    verdicts = {**bare.verdicts, **by_name(services, WITH_WINDOW).verdicts}
    assert {verdicts[one] for one in losing if one in verdicts} <= {"not_graceful"}
    assert losing, "without a window, callers lose something, or this test sees nothing"
