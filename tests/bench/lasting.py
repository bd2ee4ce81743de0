"""Deletions at a steady rate, with every server on the same machine: what goes on for ever, and what falls behind.

`make bench BENCH="--lasting --rate 20"`. Pods are created and registered, deleted a while later, and removed when their
grace is over, so many a second. One of a few is followed until both nodes show it OUT_OF_SERVICE. A rate lasts when the
time that takes, the queues and the memory are in the end what they were after the first minutes, when as many drains
end as begin.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from statistics import quantiles

from tests.bench.subjects import address, create_node, create_pod, instance_id, out_at
from tests.stack.controller_process import ControllerProcess
from tests.stack.prerequisites import ReportProgress
from tests.stack.rabbitmq import RabbitMq
from tests.stack.registry_client import RegistryClient
from tests.stack.stack import Stack
from tests.stack.usage import cpu_seconds, memory_bytes
from tests.stack.waiting import until

APP = "ours"
LIVES, GRACE = 40.0, 25.0
"""Seconds from a pod's creation to its deletion, until when every cached list shows it; and from there to its end."""
FOLLOWED = 10
"""One of so many."""
ADDRESSES = 60_000
"""Then they are used again."""
LATE_SECONDS = 10.0
MINUTE = 60.0


@dataclass
class Minute:
    """What was measured in one."""

    out_after: list[float] = field(default_factory=list)
    """Seconds from asking for a deletion until both nodes showed it out."""
    cpu: float = 0.0
    megabytes: float = 0.0
    waiting: int = 0
    """Messages in the region's queue that no worker has taken up, at the end of it."""


@dataclass
class Run:
    """One rate."""

    stack: Stack
    nodes: list[RegistryClient]
    begun_at: float
    minutes: list[Minute] = field(default_factory=list)

    async def live(self, number: int) -> None:
        """Let one pod come and go."""
        client, name, ip = self.stack.cluster.client, f"{APP}-{number}", address(number % ADDRESSES)
        await create_pod(client, name, ip, ours=True)
        await self.nodes[0].register(APP, instance_id(APP, number % ADDRESSES), ip=ip, lease_seconds=900)
        await asyncio.sleep(LIVES)
        asked_at = time.time()
        await client.delete("pods", name)
        if number % FOLLOWED == 0:
            minute = self.minutes[int((asked_at - self.begun_at) // MINUTE)]
            minute.out_after.append(await self._out_at(number % ADDRESSES) - asked_at)
        await asyncio.sleep(max(0.0, asked_at + GRACE - time.time()))
        await client.delete("pods", name, grace_seconds=0)

    async def _out_at(self, number: int) -> float:
        async def look() -> float:
            times = [await out_at(node, APP, number) for node in self.nodes]
            return max(times) if all(times) else 0.0

        return float(await until(look, f"{APP}-{number} out of service", timeout=300, interval=0.5))


async def measure(rate: float, minutes: int, report_progress: ReportProgress) -> None:
    """Delete so many a second for so long, and print each minute."""
    async with Stack(
        regions={"eu": 2}, broker=True, management=True, cluster=True, report_progress=report_progress
    ) as stack:
        await create_node(stack.cluster.client)
        process = ControllerProcess(
            "run",
            log=stack.folder / "lasting.log",
            broker=stack.broker.url,
            regions={"eu": stack.eureka["eu"].urls},
            kubeconfig=stack.cluster.kubeconfig,
            settings={"log.level": "WARNING"},
        )
        await process.start()
        nodes = [RegistryClient(url) for url in stack.eureka["eu"].urls]
        run = Run(stack, nodes, time.time() + LIVES, [Minute() for _ in range(minutes + 1)])
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_note(run, process, minutes, report_progress))
                begun = time.monotonic()
                for number in range(int(rate * minutes * MINUTE)):
                    await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
                    tasks.create_task(run.live(number))
        finally:
            await process.stop()
            for node in nodes:
                await node.close()
    _report(run, rate, minutes)


async def _note(run: Run, process: ControllerProcess, minutes: int, report_progress: ReportProgress) -> None:
    await asyncio.sleep(LIVES)
    for number in range(minutes):
        before = cpu_seconds(process.pid)
        await asyncio.sleep(MINUTE)
        minute = run.minutes[number]
        minute.cpu = (cpu_seconds(process.pid) - before) / MINUTE
        minute.megabytes = memory_bytes(process.pid) / 2**20
        minute.waiting = await _ready(run.stack.broker)
        report_progress(f"minute {number + 1} of {minutes}: {minute.waiting} messages wait")


async def _ready(broker: RabbitMq) -> int:
    listed = await broker.ctl("list_queues", "-q", "name", "messages_ready")
    rows = [line.split("\t") for line in listed.splitlines()[1:]]
    return sum(int(count) for name, count in rows if name.startswith("drain.commands."))


def _report(run: Run, rate: float, minutes: int) -> None:
    print(f"\n{rate:g} deletions a second, to OUT_OF_SERVICE at both nodes, seconds")
    print(f"{'minute':>6}{'p50':>8}{'p99':>8}{'most':>8}{'late':>8}{'CPU':>8}{'MB':>8}{'waiting':>9}")
    for number, minute in enumerate(run.minutes[:minutes], start=1):
        found = sorted(minute.out_after)
        cuts = quantiles(found, n=100) if len(found) > 1 else [0.0] * 99
        late = sum(one > LATE_SECONDS for one in found)
        print(
            f"{number:>6}{cuts[49]:>8.2f}{cuts[98]:>8.2f}{found[-1] if found else 0:>8.2f}"
            f"{late:>4}/{len(found):<3}{minute.cpu:>8.2f}{minute.megabytes:>8.0f}{minute.waiting:>9}"
        )
    print(f"one of {FOLLOWED} followed; late: more than {LATE_SECONDS:g} s; CPU: of one core")
