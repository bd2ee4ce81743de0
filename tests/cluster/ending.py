"""Letting pods end in the real cluster, with the same look at each way: all the dead are out, and nobody else is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.cluster.home import SHOP
from tests.cluster.node import Node
from tests.cluster.scene import Object, Scene, Watched, app_of, is_living
from tests.stack.waiting import until

OUT_TIMEOUT = 10.0
"""Seconds from the first word of an end until no node gives the instance to callers, on a machine that is busy."""
STATEFUL = {"ledger"}
"""Apps whose pods have their predecessors' names, and so ids."""
OUT = ("out_of_service", "removed", "already_gone", "superseded", "restored", "not_registered")
"""States of a drain that has been done; who began late finds nothing of a service that has left by itself."""


@dataclass
class Table:
    """Lines of ways to end, with what was measured."""

    lines: list[str] = field(default_factory=list)
    rollouts: list[str] = field(default_factory=list)
    brokers: list[str] = field(default_factory=list)

    def add(self, way: str, dead: int, out: str, living: int) -> None:
        self.lines.append(f"| {way} | {dead} | {out} | {living} | 0 |")

    def add_broker(self, way: str, commands: int, events: int, unconfirmed: int, gap: float) -> None:
        self.brokers.append(f"| {way} | {commands} | {events} | {unconfirmed} | {gap:.1f} s | 0 |")

    def __str__(self) -> str:
        head = "| how | pods that ended | all out after | pods that lived on | of them ever out |"
        rolled = "| rolled out | times | pods that ended | calls | lost | each time | one took | verdicts |"
        kept = "| brokers | commands confirmed | events confirmed | not confirmed | longest wait | lost |"
        tables = ((head, self.lines), (rolled, self.rollouts), (kept, self.brokers))
        return "\n\n".join("\n".join((title, _ruler(title), *lines)) for title, lines in tables if lines)


def _ruler(title: str) -> str:
    return "|" + "---|" * (title.count("|") - 1)


async def living(scene: Scene, app: str = "", *, namespace: str = SHOP) -> list[Object]:
    """Return the pods of a namespace that live."""
    return [one for one in await scene.pods(namespace, app) if is_living(one)]


@asynccontextmanager
async def ending(
    scene: Scene, table: Table, way: str, dying: list[Object], *, within: float = OUT_TIMEOUT, namespace: str = SHOP
) -> AsyncIterator[Watched]:
    """Whoever leaves the context has let these pods end; all the others of their namespace must not be touched.

    The time until they are out runs from the entering of the context, or from what is set within: ``began`` for each,
    or ``since`` for all. An id that a successor gets is UP again in the end.
    """
    await scene.all_up(namespace)
    names = {one["metadata"]["name"] for one in dying}
    known = await scene.known()
    others = [
        known[address_of(one)]
        for one in await living(scene, namespace=namespace)
        if one["metadata"]["name"] not in names
    ]
    ids = {one["metadata"]["name"]: known[address_of(one)] for one in dying}
    async with scene.watching([*ids.values(), *others]) as watched:
        yield watched
        for name in sorted(names):
            await scene.drain_of(name, *OUT)
        await asyncio.sleep(2)
    for one in others:
        assert watched.ever_out(one) == [], f"{way}: {one} lives and was not UP"
    out_after = {one: watched.out_after(one, pod) for pod, one in ids.items() if app_of(one) not in STATEFUL}
    assert all(seconds is not None and seconds < within for seconds in out_after.values()), (way, out_after)
    slowest = max((seconds for seconds in out_after.values() if seconds is not None), default=None)
    out = "its id is its successor's" if slowest is None else f"{max(0.0, slowest):.1f} s"
    table.add(way, len(ids), out, len(others))


async def all_begin_to_end(scene: Scene, *names: str, timeout: float = 120, namespace: str = SHOP) -> dict[str, float]:
    """Wait until Kubernetes says of each that it ends, whichever way; return when that was seen of each.

    By time.monotonic().
    """
    seen: dict[str, float] = {}

    async def look() -> bool:
        ends = {one["metadata"]["name"]: ends_or_has_ended(one) for one in await scene.pods(namespace)}
        now = time.monotonic()
        for name in names:
            if ends.get(name, True):
                seen.setdefault(name, now)
        return len(seen) == len(names)

    await until(look, f"the end of {', '.join(names)}", timeout=timeout, interval=0.3)
    return seen


def ends_or_has_ended(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod["status"]["phase"] in ("Failed", "Succeeded")


def is_of(pod: Object, role: str) -> bool:
    return bool(pod["metadata"]["labels"].get("app.kubernetes.io/component") == role)


def address_of(pod: Object) -> str:
    return str(pod["status"]["podIP"])


def container_of(pod: Object) -> str:
    """Return what containerd calls a pod's only container."""
    [status] = pod["status"]["containerStatuses"]
    return str(status["containerID"]).removeprefix("containerd://")


async def signal_container(scene: Scene, pod: Object, name: str) -> None:
    """Send a signal to all processes of a pod's only container, from outside."""
    words = ("ctr", "-n", "k8s.io", "tasks", "kill", "--all", "--signal", name, container_of(pod))
    await asyncio.to_thread(node_of(scene, pod).run, *words)


def node_of(scene: Scene, pod: Object) -> Node:
    [found] = [one for one in scene.cluster.nodes if one.name == pod["spec"]["nodeName"]]
    return found
