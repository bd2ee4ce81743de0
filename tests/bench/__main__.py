"""`make bench`: deletion -> OUT_OF_SERVICE, the floor and the product side by side on the same real servers.

Two clocks start: one when the deletion is asked for (what a user waits for, and what the target is about), one when a
bare watch in this process sees the deletion's event (which leaves out the API server's part, equal for both). Both stop
at the time that Eureka itself notes for the change of status (`lastUpdatedTimestamp`, milliseconds): nobody polls
while they run. The floor has one node to change; the product has both, and the later one counts.

Idle: pods are deleted one by one, in turn one of the floor's and one of ours. Burst: 1,000 pods deleted as fast as the
API server takes it, first the floor's, then ours; every instance is then read at every node.

Before all that, the event log alone: see history.py (`BENCH="--only-log"`; EVENTS=1000000 for a long one).
Something else is what a large cluster costs each part: see scale.py (`BENCH=--scale`).
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from functools import partial

from tests.bench import scale
from tests.bench.floor import Floor
from tests.bench.history import measure
from tests.bench.subjects import address, at_once, create_node, create_pod, instance_id, register
from tests.stack.controller_process import ControllerProcess
from tests.stack.prerequisites import Tell
from tests.stack.registry_client import RegistryClient
from tests.stack.stack import Stack, tell_on_stderr
from tests.stack.waiting import until

OURS, FLOORS = "ours", "floor"


@dataclass
class Latencies:
    """Milliseconds by both clocks."""

    asked: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)

    def apply(self, asked_at: float, seen_at: float, out_at: float) -> None:
        self.asked.append(1000 * (out_at - asked_at))
        self.seen.append(1000 * (out_at - seen_at))

    @property
    def both(self) -> tuple[list[float], list[float]]:
        return self.asked, self.seen


@dataclass
class Burst:
    """When the deletions began and ended, and when the last instance was out at its last node."""

    begun_at: float
    deleted_at: float = 0.0
    out_at: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)


async def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--samples", type=int, default=60, help="pods of each kind, idle")
    parser.add_argument("--burst", type=int, default=1000)
    parser.add_argument("--events", type=int, default=int(os.environ.get("EVENTS", "100000")), help="in the event log")
    parser.add_argument("--only-log", action="store_true", help="the event log alone")
    parser.add_argument("--scale", action="store_true", help="what a large cluster costs each part, and nothing else")
    parser.add_argument("--pods", type=int, default=100_000, help="of a cluster, for --scale")
    parser.add_argument("--real-pods", type=int, default=5_000, help="in a real API server, for --scale")
    parser.add_argument("--going", type=int, default=20_000, help="pods whose end is watched, for --scale")
    parser.add_argument("--instances", type=int, default=100_000, help="in all regions, for --scale")
    parser.add_argument("--regions", type=int, default=50, help="for --scale")
    parser.add_argument("--drains", type=int, default=100_000, help="that hold an instance, for --scale")
    parser.add_argument("--commands", type=int, default=20_000, help="published, for --scale")
    chosen = parser.parse_args()
    tell = tell_on_stderr()
    if chosen.scale:
        await scale.measure(chosen, tell)
        return 0
    async with Stack(broker=True, tell=tell) as stack:
        bounded = await measure(stack.broker.url, chosen.events, tell) if chosen.events else True
    if chosen.only_log:
        return 0 if bounded else 1
    return max(await _latencies(chosen, tell), 0 if bounded else 1)


async def _latencies(chosen: argparse.Namespace, tell: Tell) -> int:
    async with Stack(regions={"eu": 2}, broker=True, cluster=True, tell=tell) as stack:
        client, urls = stack.cluster.client, stack.eureka["eu"].urls
        nodes = [RegistryClient(url) for url in urls]
        await create_node(client)
        controller = ControllerProcess(
            "run",
            log=stack.folder / "controller.log",
            broker=stack.broker.url,
            regions={"eu": urls},
            kubeconfig=stack.cluster.kubeconfig,
            settings={"log.level": "WARNING"},
        )
        tell("preparing pods and instances")
        total = chosen.samples + chosen.burst
        for app in (OURS, FLOORS):
            await register(nodes, app, range(total))
            await at_once([create_pod(client, f"{app}-{n}", address(n), ours=app == OURS) for n in range(total)])
        floor = Floor(client=client, node=nodes[0], app=FLOORS)
        watching = asyncio.create_task(floor.run())
        await controller.start()
        try:
            tell(f"idle: {chosen.samples} pods of each, one by one")
            idle = await _idle(stack, floor, nodes, range(chosen.samples))
            tell(f"burst: {chosen.burst} pods of each")
            burst = range(chosen.samples, total)
            floors = await _burst(stack, floor, nodes[:1], FLOORS, burst)
            ours = await _burst(stack, floor, nodes, OURS, burst)
        finally:
            watching.cancel()
            await controller.stop()
            for node in nodes:
                await node.close()
        print(controller.log.read_text(), file=sys.stderr, end="")
    return _report(idle, floors, ours)


async def _idle(stack: Stack, floor: Floor, nodes: list[RegistryClient], numbers: range) -> dict[str, Latencies]:
    took = {FLOORS: Latencies(), OURS: Latencies()}
    for number in numbers:
        for app, where in ((FLOORS, nodes[:1]), (OURS, nodes)):
            name = f"{app}-{number}"
            asked_at = time.time()
            await stack.cluster.client.delete("pods", name)
            # Nobody is asked while the clocks run: the nodes themselves tell afterwards when their status changed.
            await asyncio.sleep(0.3)
            out_at = [await until(partial(_out_at, node, app, number), f"{name} out at {node.url}") for node in where]
            await until(partial(floor.seen_at.get, name), f"the deletion of {name}")
            took[app].apply(asked_at, floor.seen_at[name], max(out_at))
    return took


async def _out_at(node: RegistryClient, app: str, number: int) -> float:
    """When this node began to show OUT_OF_SERVICE, by its own record; 0 while it does not."""
    found = await node.get(app, instance_id(app, number))
    if found is None or not found["status"] == found["overriddenStatus"] == "OUT_OF_SERVICE":
        return 0.0
    return int(found["lastUpdatedTimestamp"]) / 1000


async def _delete_all(stack: Stack, app: str, numbers: range) -> tuple[float, float]:
    begun = time.time()
    await at_once([stack.cluster.client.delete("pods", f"{app}-{number}") for number in numbers])
    return begun, time.time()


async def _burst(stack: Stack, floor: Floor, nodes: list[RegistryClient], app: str, numbers: range) -> Burst:
    asked_at: dict[str, float] = {}

    async def delete(name: str) -> None:
        asked_at[name] = time.time()
        await stack.cluster.client.delete("pods", name)

    burst = Burst(begun_at=time.time())
    await at_once([delete(f"{app}-{number}") for number in numbers])
    burst.deleted_at = time.time()
    await asyncio.sleep(10)
    for number in numbers:
        name = f"{app}-{number}"
        out_at = [await until(partial(_out_at, node, app, number), f"{name} out at {node.url}") for node in nodes]
        burst.latencies.apply(asked_at[name], floor.seen_at[name], max(out_at))
        burst.out_at = max(burst.out_at, *out_at)
    return burst


def _report(idle: dict[str, Latencies], floors: Burst, ours: Burst) -> int:
    def row(name: str, latencies: Latencies) -> tuple[float, float]:
        asked, seen = (statistics.quantiles(figures, n=100, method="inclusive") for figures in latencies.both)
        print(f"{name:<36}{asked[49]:>10.1f}{asked[98]:>10.1f}{seen[49]:>12.1f}{seen[98]:>10.1f}")
        return asked[49], seen[49]

    count = len(ours.latencies.asked)
    print(f"\n{'-> OUT_OF_SERVICE, milliseconds':<36}{'deletion asked for':>20}{'its event seen':>22}")
    print(f"{'':<36}{'p50':>10}{'p99':>10}{'p50':>12}{'p99':>10}")
    floor_p50 = row("floor, idle (1 node, unproved)", idle[FLOORS])
    our_p50 = row("eureka-drain, idle (both nodes)", idle[OURS])
    row(f"floor, burst of {count}", floors.latencies)
    row(f"eureka-drain, burst of {count}", ours.latencies)
    ratio = our_p50[0] / floor_p50[0]
    print(f"\nidle p50, deletion asked for: {ratio:.1f} times the floor's (target: at most 4)")
    print(f"idle p50, its event seen: {our_p50[1] / floor_p50[1]:.1f} times the floor's")
    for name, burst in (("floor", floors), ("eureka-drain", ours)):
        print(f"burst, {name}: deleting took {burst.deleted_at - burst.begun_at:.1f} s; ", end="")
        print(f"all out {burst.out_at - burst.deleted_at:.2f} s after the last deletion")
    print("(target: at most 3 s; every instance was read at every node afterwards)")
    return 0 if ratio <= 4 and ours.out_at - ours.deleted_at <= 3 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
