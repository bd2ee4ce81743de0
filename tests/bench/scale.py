"""What a large cluster costs each part of the product: `make bench BENCH=--scale`.

Each part runs in a process of its own that does nothing else, so its memory is its own: the feed and the tracker with
every pod of a cluster, the index of a region's registry, the ledger of held instances, and commands through the outbox
to a real broker. The large numbers of pods and instances come from a stand-in, so what they cost a server is not seen;
a smaller number of pods is listed from a real API server. docs/scale.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
import yaml
from loguru import logger

from controller.domain.commands import DrainCommand
from controller.domain.events import Outcome, make_event
from controller.domain.ledger import Ledger
from controller.domain.tracking import Tracker
from controller.eureka.region import EurekaRegion
from controller.eureka.room import IndexRoom
from controller.flows.ports import Changed, Listed
from controller.kube.client import KubeApi
from controller.kube.feed import KubePodFeed
from controller.messages.codec import decode_entry, encode_entry
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings, RegionSettings, SecretUrl, WatchSettings
from controller.signals import beside
from tests.bench.objects import APPS, Pods, address, pod_to_create
from tests.bench.subjects import NODE, at_once, create_node
from tests.stack.prerequisites import ReportProgress
from tests.stack.stack import Stack
from tests.stack.usage import cpu_seconds, memory_bytes
from tests.unit.building import NODES, a_command, a_pod, a_target, out, readings, terminating

ROOT = Path(__file__).parents[2]
TOGETHER = 2_000
TICK = 0.005
SEARCHES = 1_000


@dataclass
class Row:
    """One figure of one part. Megabytes are what it added to its process, kept and at the most; None: another's."""

    what: str
    count: int
    seconds: float = 0.0
    cpu: float = 0.0
    kept: float | None = None
    most: float | None = None
    held_up: float | None = None
    """The longest time in which the process did nothing else, milliseconds."""


@asynccontextmanager
async def measured(what: str, count: int) -> AsyncIterator[Row]:
    """Fill in a row with what happens inside."""
    gc.collect()
    row = Row(what, count)
    longest = 0.0
    before, begun, worked = _megabytes(), time.monotonic(), time.process_time()

    async def tick() -> None:
        nonlocal longest
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(TICK)
            longest = max(longest, 1000 * (time.monotonic() - asleep - TICK))

    async with beside(tick):
        await asyncio.sleep(2 * TICK)
        yield row
        await asyncio.sleep(0)
    row.seconds, row.cpu = time.monotonic() - begun, time.process_time() - worked
    row.held_up = longest
    gc.collect()
    row.kept = _megabytes() - before
    row.most = _megabytes("VmHWM") - before


def _megabytes(name: str = "VmRSS") -> float:
    return memory_bytes("self", name) / 2**20


async def pods(kubeconfig: str, count: int, going: int) -> list[Row]:
    """List them all, then take in the end of some, as the watch does."""
    os.environ["KUBECONFIG"] = kubeconfig
    tracker = Tracker()
    async with KubeApi() as api, aclosing(KubePodFeed(api, WatchSettings(), clock=_now).follow()) as sightings:  # type: ignore[type-var]
        async with measured("pods listed and tracked", count) as row:
            listed = await anext(sightings)
            assert isinstance(listed, Listed)
            assert len(listed.pods) == count
            tracker.listed("", listed.pods, _now())
            del listed
        rows = [row]
        if going:
            async with measured("watch events of pods that go", going) as row:
                while tracker.backlog < going:
                    sighting = await anext(sightings)
                    if isinstance(sighting, Changed):
                        tracker.changed(sighting.pod, _now())
            rows.append(row)
    return rows


async def instances(server: str, count: int, _: int) -> list[Row]:
    """Fetch a region's registry from two nodes, as a worker does every 15 s; then look into it."""
    settings = RegionSettings.model_validate({"nodes": [f"{server}/a/eureka", f"{server}/b/eureka"]})
    async with EurekaRegion("eu", settings, clock=_now, room=IndexRoom(10**9)) as region:
        async with measured("instances fetched and indexed, 2 nodes", count) as row:
            assert len(await region.index.everything()) == count
        rows = [row]
        async with measured("the same once more", count) as row:
            await region.index.everything()
        rows.append(row)
        async with measured("pods looked up in it", SEARCHES) as row:
            for number in range(SEARCHES):
                pod = a_pod(ip=address(number % count))
                assert (await region.index.find(pod, not_before=datetime.min.replace(tzinfo=UTC))).candidates
                await asyncio.sleep(0)
        rows.append(row)
        async with measured("apps looked up in it, by the guard", 100) as row:
            for number in range(100):
                assert await region.index.siblings(f"ORDERS-{number % min(APPS, count)}")
                await asyncio.sleep(0)
        rows.append(row)
    return rows


async def drains(_: str, count: int, __: int) -> list[Row]:
    """Fold as many drains that hold an instance as a ledger keeps."""
    ledger = Ledger()
    shown = readings(*(out() for _ in NODES[:2]))
    command, target, event = a_command(), a_target(), None
    async with measured("drains held in a ledger", count) as row:
        for number in range(count):
            pod = terminating(a_pod(f"uid-{number}", name=f"orders-{number}", ip=address(number)))
            one = replace(command, pod=pod, drain_id=f"bench{number:011}")
            event = make_event(
                one, Outcome.out_of_service, _now(), target=replace(target, id=f"i-{number}"), nodes=shown
            )
            ledger.apply(decode_entry(encode_entry(event)))
            await asyncio.sleep(0)
    assert event is None or ledger.apply(event) is None, "it is held already"
    return [row]


async def commands(url: str, count: int, regions: int) -> list[Row]:
    """Declare the regions' queues, and publish to all of them in turn, each confirmed."""
    names = [f"region-{number}" for number in range(regions)]
    outbox = RabbitOutbox(settings=BrokerSettings(url=SecretUrl(url), timeout=timedelta(seconds=60)), regions=names)
    async with beside(outbox.link.run):
        async with measured("regions declared", regions) as declared:
            await outbox.link.wait_until_up()
        async with measured("commands published and confirmed", count) as row:
            for begin in range(0, count, TOGETHER):
                batch = range(begin, min(begin + TOGETHER, count))
                await asyncio.gather(*(outbox.send(_command(number, names[number % regions])) for number in batch))
    return [declared, row]


def _command(number: int, region: str) -> DrainCommand:
    pod = terminating(a_pod(f"uid-{number}", name=f"orders-{number}", ip=address(number)))
    return a_command(pod, region=region, drain_id=f"bench{number:011}")


def _now() -> datetime:
    return datetime.now(UTC)


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": server}}],
        "users": [{"name": "bench", "user": {}}],
    }


PARTS: dict[str, Callable[[str, int, int], Coroutine[Any, Any, list[Row]]]] = {
    part.__name__: part for part in (pods, instances, drains, commands)
}


async def measure(chosen: argparse.Namespace, report_progress: ReportProgress) -> None:
    """Measure every part, and print."""
    begun_with = os.getloadavg()[0]
    rows = []
    report_progress(f"{chosen.pods} pods of {len(Pods().one(1))} bytes")
    async with _serving(chosen.pods, chosen.going, 1) as server:
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
            file.write(yaml.safe_dump(_kubeconfig(server)))
            file.flush()
            rows += await _apart("pods", file.name, chosen.pods, chosen.going)
    if chosen.real_pods:
        rows += await _real(chosen.real_pods, report_progress)
    for count in (chosen.instances // chosen.regions, chosen.instances):
        report_progress(f"a region of {count} instances")
        async with _serving(0, 0, count) as server:
            rows += await _apart("instances", server, count)
    report_progress(f"{chosen.drains} drains")
    rows += await _apart("drains", "", chosen.drains)
    report_progress(f"{chosen.commands} commands to {chosen.regions} regions")
    async with Stack(broker=True, report_progress=report_progress) as stack:
        rows += await _apart("commands", stack.broker.url, chosen.commands, chosen.regions)
    print(
        f"\n{'what':<42}{'count':>9}{'s':>8}{'CPU s':>8}{'a second':>10}{'MB kept':>9}{'MB most':>9}{'held up, ms':>13}"
    )
    for row in rows:
        rate = row.count / row.seconds
        print(f"{row.what:<42}{row.count:>9}{row.seconds:>8.2f}{row.cpu:>8.2f}{rate:>10.0f}", end="")
        figures = ((row.kept, 9), (row.most, 9), (row.held_up, 13))
        print("".join(f"{'-' if one is None else f'{one:.0f}':>{width}}" for one, width in figures))
    print(
        f"(load average at the start {begun_with:.1f}, at the end {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores)"
    )


async def _real(count: int, report_progress: ReportProgress) -> list[Row]:
    """The same list from a real API server, and what that costs it and its etcd."""
    async with Stack(cluster=True, report_progress=report_progress) as stack:
        report_progress(f"creating {count} pods")
        client, api = stack.cluster.client, stack.cluster.api
        await create_node(client)
        await at_once([client.create("pods", pod_to_create(number, NODE)) for number in range(count)])
        servers = {"the API server's part in that": api.apiserver, "etcd's part in that": api.etcd}
        before = {what: cpu_seconds(server.pid) for what, server in servers.items()}
        [row] = await _apart("pods", str(stack.cluster.kubeconfig), count)
        parts = [Row(what, count, row.seconds, cpu_seconds(servers[what].pid) - cpu) for what, cpu in before.items()]
        return [replace(row, what="pods of a real API server listed"), *parts]


@asynccontextmanager
async def _serving(pods: int, going: int, instances: int) -> AsyncIterator[str]:
    words = [sys.executable, "-m", "tests.bench.serving", str(pods), str(going), str(instances)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdin
    assert process.stdout
    try:
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _apart(part: str, url: str, count: int, more: int = 0) -> list[Row]:
    # As in history.py: no settings of ours, and no secret in the process list.
    env = {name: value for name, value in os.environ.items() if not name.startswith("EUREKA_DRAIN_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.scale", part, str(count), str(more)),
        env={**env, "BENCH_URL": url},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the part {part} ended with {process.returncode}")
    return [Row(**row) for row in json.loads(output)]


if __name__ == "__main__":
    logger.disable("controller")
    part, count, more = sys.argv[1:]
    print(json.dumps([asdict(row) for row in uvloop.run(PARTS[part](os.environ["BENCH_URL"], int(count), int(more)))]))
