"""What a drain costs, phase by phase, beside what it cost at another commit: `make bench BENCH=--costs`.

Both states run `run` against the same real servers in turn, each in a virtual host and with pods of its own: some pods
are registered, deleted, shown out of service, ended and removed. CPU is the process's own, from /proc; queue writes are
the broker's count of what it put into queues, dead-lettering included; requests and bytes to the Eureka nodes and to
the broker are counted by a proxy before each.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.bench.meter import Meter
from tests.bench.subjects import address, at_once, create_node, create_pod, instance_id, register
from tests.stack.commits import ROOT, check_out
from tests.stack.controller_process import ControllerProcess
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq, empty_vhost
from tests.stack.registry_client import RegistryClient
from tests.stack.stack import Stack
from tests.stack.usage import cpu_seconds, memory_bytes
from tests.stack.waiting import until

RETENTION = 60
"""Seconds."""
IDLE_SECONDS = 20
OURS = "ours"
PHASES = ("to OUT_OF_SERVICE", "from there to removed")


@dataclass
class Cost:
    """What was used up, of everything; subtract what it was before."""

    cpu: float = 0.0
    """Seconds of the process."""
    queue_writes: float = 0.0
    requests: float = 0.0
    """To both nodes."""
    node_bytes: float = 0.0
    broker_bytes: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, one.name) - getattr(other, one.name) for one in fields(Cost)))

    def per(self, count: float) -> Cost:
        """Divided among so many."""
        return Cost(*(getattr(self, one.name) / count for one in fields(Cost)))


@dataclass
class Round:
    """What one state cost in one round. Memory and CPU a second are the whole process's, the phases a drain's."""

    empty_bytes: int
    bytes: int
    peak_bytes: int
    idle: float
    phases: dict[str, Cost]


async def measure(drains: int, rounds: int, before: str, report_progress: ReportProgress) -> None:
    """Both states in turn, so many times; prints the medians beside each other."""
    with tempfile.TemporaryDirectory(prefix="eureka-drain-bench-") as folder:
        check_out(before, Path(folder))
        sources = {before[:7]: Path(folder), "now": ROOT}
        found: dict[str, list[Round]] = {name: [] for name in sources}
        async with Stack(
            regions={"eu": 2}, broker=True, management=True, cluster=True, report_progress=report_progress
        ) as stack:
            await create_node(stack.cluster.client)
            for number in range(rounds):
                for name, source in sources.items():
                    report_progress(f"round {number + 1} of {rounds}: {name}")
                    async with empty_vhost(stack.broker, f"{name}-{number}") as broker:
                        found[name].append(await _round(stack, broker, source, drains))
    _report(found, drains)


async def _round(stack: Stack, broker: RabbitMq, source: Path, drains: int) -> Round:
    async with _running(stack, broker, source) as (process, meters):
        names = [f"{OURS}-{number}" for number in range(drains)]
        client, nodes = stack.cluster.client, [RegistryClient(url) for url in stack.eureka["eu"].urls]
        empty = memory_bytes(process.pid)
        await at_once([create_pod(client, name, address(number), ours=True) for number, name in enumerate(names)])
        await register(nodes, OURS, range(drains))

        async def used() -> Cost:
            to_broker, *to_nodes = meters
            requests, node_bytes = sum(one.requests for one in to_nodes), sum(one.bytes for one in to_nodes)
            return Cost(cpu_seconds(process.pid), await _queue_writes(broker), requests, node_bytes, to_broker.bytes)

        idle_before = cpu_seconds(process.pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (cpu_seconds(process.pid) - idle_before) / IDLE_SECONDS
        held = memory_bytes(process.pid)
        costs = [await used()]
        await at_once([client.delete("pods", name) for name in names])
        await _shown(nodes, drains, "OUT_OF_SERVICE")
        costs.append(await used())
        begun = time.monotonic()
        await at_once([client.delete("pods", name, grace_seconds=0) for name in names])
        await _shown(nodes, drains, None)
        await until(lambda: _is_empty(broker), "no message left", timeout=180, interval=2)
        costs.append(await used())
        costs[-1].cpu -= idle * (time.monotonic() - begun)  # what it costs to do nothing for so long
        for node in nodes:
            await node.close()
        per_drain = [(after - earlier).per(drains) for earlier, after in pairwise(costs)]
        return Round(empty, held, memory_bytes(process.pid, "VmHWM"), idle, dict(zip(PHASES, per_drain, strict=True)))


@asynccontextmanager
async def _running(
    stack: Stack, broker: RabbitMq, source: Path
) -> AsyncIterator[tuple[ControllerProcess, list[Meter]]]:
    """The product, and what goes to the broker and to each node."""
    async with AsyncExitStack() as ended:
        meters = [await ended.enter_async_context(Meter(url)) for url in (broker.url, *stack.eureka["eu"].urls)]
        process = ControllerProcess(
            "run",
            log=stack.folder / f"{broker.url.rpartition('/')[2]}.log",
            broker=meters[0].url,
            regions={"eu": [meter.url for meter in meters[1:]]},
            kubeconfig=stack.cluster.kubeconfig,
            settings={"retention": f"{RETENTION}s", "log.level": "WARNING"},
            source=source,
        )
        ended.push_async_callback(process.stop)
        await process.start()
        yield process, meters


async def _shown(nodes: list[RegistryClient], count: int, status: str | None) -> None:
    waiting = set(range(count))

    async def look(number: int) -> None:
        found = [await node.get(OURS, instance_id(OURS, number)) for node in nodes]
        if all((one["status"] if one else None) == status for one in found):
            waiting.discard(number)

    async def all_are() -> bool:
        await at_once([look(number) for number in sorted(waiting)])
        return not waiting

    await until(all_are, f"all of them {status or 'absent'}", timeout=300, interval=1)


async def _queue_writes(broker: RabbitMq) -> int:
    """What the broker put into queues since it started: published or dead-lettered."""
    counters = await broker.ctl("eval", "rabbit_global_counters:overview().")
    names = ("messages_routed_total", r"messages_dead_lettered_\w+_total")
    return sum(int(count) for name in names for count in re.findall(rf"{name}\s*=>\s*(\d+)", counters))


async def _is_empty(broker: RabbitMq) -> bool:
    vhost = broker.url.rpartition("/")[2]
    listed = await broker.ctl("list_queues", "-q", "-p", vhost, "name", "messages", "type")
    rows = [line.split("\t") for line in listed.splitlines()[1:]]
    return all(int(messages) == 0 for _, messages, kind in rows if kind.endswith("quorum"))


def _report(found: dict[str, list[Round]], drains: int) -> None:
    title = f"one of {drains} drains, retention {RETENTION} s"
    print(f"\n{title:<44}" + "".join(f"{name:>12}" for name in found), "ratio")

    def line(what: str, figures: list[float]) -> None:
        ratio = f"{figures[-1] / figures[0]:>6.2f}" if figures[0] else "     -"
        print(f"{what:<44}" + "".join(f"{one:>12.2f}" for one in figures) + ratio)

    for phase in PHASES:
        costs = [[one.phases[phase] for one in rounds] for rounds in found.values()]
        print(f"{phase}:")
        line("  CPU, ms", [1000 * median(one.cpu for one in some) for some in costs])
        line("  queue writes", [median(one.queue_writes for one in some) for some in costs])
        line("  requests to the two nodes", [median(one.requests for one in some) for some in costs])
        line("  kB to and from the nodes", [median(one.node_bytes for one in some) / 1024 for some in costs])
        line("  kB to and from the broker", [median(one.broker_bytes for one in some) / 1024 for some in costs])
    print("the process:")
    rounds = list(found.values())
    line("  idle, CPU ms a second", [1000 * median(one.idle for one in some) for some in rounds])
    line("  MB, nothing to watch", [median(one.empty_bytes for one in some) / 2**20 for some in rounds])
    line(f"  MB, {drains} pods", [median(one.bytes for one in some) / 2**20 for some in rounds])
    line("  MB at the most", [median(one.peak_bytes for one in some) / 2**20 for some in rounds])
