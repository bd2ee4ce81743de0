"""`make bench`: deletion -> OUT_OF_SERVICE, the floor and the product side by side on the same real servers.

Two clocks start: one when the deletion is asked for (what a user waits for, and what the target is about), one when a
bare watch in this process sees the deletion's event (which leaves out the API server's part, equal for both). Both stop
at the time that Eureka itself notes for the change of status (`lastUpdatedTimestamp`, milliseconds): nobody polls
while they run. The floor has one node to change; the product has both, and the later one counts.

Idle: pods are deleted one by one, in turn one of the floor's and one of ours. Burst: 1,000 pods deleted as fast as the
API server takes it, first the floor's, then ours; every instance is then read at every node.

Before all that, the event log alone: see history.py (`BENCH="--only-log"`; EVENTS=1000000 for a long one).
Something else is what a large cluster costs each part: see scale.py (`BENCH=--scale`); and what one drain costs, beside
another commit's: see costs.py (`BENCH=--costs`); and which rate goes on for ever: see lasting.py (`BENCH=--lasting`).
"""

import argparse
import asyncio
import os
import sys
import time
from functools import partial

from tests.bench import costs, lasting, scale
from tests.bench.floor import Floor
from tests.bench.history import measure
from tests.bench.latencies import Burst, Latencies, report
from tests.bench.subjects import address, at_once, create_node, create_pod, out_at, register
from tests.stack.commits import LAST_RELEASE
from tests.stack.controller_process import ControllerProcess
from tests.stack.prerequisites import ReportProgress
from tests.stack.registry_client import RegistryClient
from tests.stack.stack import Stack, report_on_stderr
from tests.stack.waiting import until

OURS, FLOORS = "ours", "floor"


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
    parser.add_argument("--costs", action="store_true", help="what one drain costs, now and at another commit")
    parser.add_argument("--before", default=LAST_RELEASE, help="the other commit, for --costs")
    parser.add_argument("--rounds", type=int, default=3, help="of each commit, for --costs")
    parser.add_argument("--lasting", action="store_true", help="deletions at a steady rate, and nothing else")
    parser.add_argument("--rate", type=float, default=20, help="deletions a second, for --lasting")
    parser.add_argument("--minutes", type=int, default=10, help="for --lasting")
    chosen = parser.parse_args()
    report_progress = report_on_stderr()
    if chosen.scale:
        await scale.measure(chosen, report_progress)
        return 0
    if chosen.lasting:
        await lasting.measure(chosen.rate, chosen.minutes, report_progress)
        return 0
    if chosen.costs:
        await costs.measure(chosen.burst, chosen.rounds, chosen.before, report_progress)
        return 0
    async with Stack(broker=True, report_progress=report_progress) as stack:
        bounded = await measure(stack.broker.url, chosen.events, report_progress) if chosen.events else True
    if chosen.only_log:
        return 0 if bounded else 1
    return max(await _latencies(chosen, report_progress), 0 if bounded else 1)


async def _latencies(chosen: argparse.Namespace, report_progress: ReportProgress) -> int:
    async with Stack(regions={"eu": 2}, broker=True, cluster=True, report_progress=report_progress) as stack:
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
        report_progress("preparing pods and instances")
        total = chosen.samples + chosen.burst
        for app in (OURS, FLOORS):
            # In this order: what was registered before its pod was created is not the pod's own.
            await at_once([create_pod(client, f"{app}-{n}", address(n), ours=app == OURS) for n in range(total)])
            await register(nodes, app, range(total))
        floor = Floor(client=client, node=nodes[0], app=FLOORS)
        try:
            # In one group: with a floor that has ended there is nothing to compare with.
            async with asyncio.TaskGroup() as beside:
                watching = beside.create_task(floor.run())
                await controller.start()
                report_progress(f"idle: {chosen.samples} pods of each, one by one")
                idle = await _idle(stack, floor, nodes, range(chosen.samples))
                report_progress(f"burst: {chosen.burst} pods of each")
                burst = range(chosen.samples, total)
                floors = await _burst(stack, floor, nodes[:1], FLOORS, burst)
                ours = await _burst(stack, floor, nodes, OURS, burst)
                watching.cancel()
        finally:
            await controller.stop()
            for node in nodes:
                await node.close()
            print(controller.log.read_text(), file=sys.stderr, end="")
    return report(idle[FLOORS], idle[OURS], floors, ours)


async def _idle(stack: Stack, floor: Floor, nodes: list[RegistryClient], numbers: range) -> dict[str, Latencies]:
    took = {FLOORS: Latencies(), OURS: Latencies()}
    for number in numbers:
        for app, where in ((FLOORS, nodes[:1]), (OURS, nodes)):
            name = f"{app}-{number}"
            asked_at = time.time()
            await stack.cluster.client.delete("pods", name)
            # Nobody is asked while the clocks run: the nodes themselves show afterwards when their status changed.
            await asyncio.sleep(0.3)
            seen_at = (await floor.when_seen([name])).get(name)
            out_at = await _all_out_at(where, app, number) if seen_at or app == OURS else None
            took[app].note(asked_at, seen_at, out_at)
    return took


async def _all_out_at(nodes: list[RegistryClient], app: str, number: int) -> float:
    """When the last of the nodes began to show it."""
    out_at: list[float] = [
        await until(partial(out_at, node, app, number), f"{app}-{number} out at {node.url}") for node in nodes
    ]
    return max(out_at)


async def _burst(stack: Stack, floor: Floor, nodes: list[RegistryClient], app: str, numbers: range) -> Burst:
    asked_at: dict[str, float] = {}

    async def delete(name: str) -> None:
        asked_at[name] = time.time()
        await stack.cluster.client.delete("pods", name)

    burst = Burst(begun_at=time.time())
    await at_once([delete(f"{app}-{number}") for number in numbers])
    burst.deleted_at = time.time()
    await asyncio.sleep(10)
    seen_at = await floor.when_seen(list(asked_at))
    for number in numbers:
        name = f"{app}-{number}"
        out_at = await _all_out_at(nodes, app, number) if name in seen_at or app == OURS else None
        burst.latencies.note(asked_at[name], seen_at.get(name), out_at)
        burst.out_at = max(burst.out_at, out_at or 0)
    return burst


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
