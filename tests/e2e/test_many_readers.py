"""Many ask a running ``ops`` for old drains at once: the broker notices little of it, and the probe nothing."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp

from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq

VIEWER = f"viewer-{secrets.token_hex(16)}"
ASKERS = 15
MAX_MORE_CONNECTIONS = 4
"""Two streams for the single drains, and two for a list."""
MAX_PROBE_SECONDS = 2.0
"""A second, and another one for a busy machine."""


async def test_unknown_drains_and_lists_of_old_ones_cost_few_connections(
    tmp_path: Path, broker: RabbitMq, eureka_pair: EurekaNodes
) -> None:
    region = f"readers-{secrets.token_hex(3)}"
    process = ControllerProcess(
        "ops",
        log=tmp_path / "ops.log",
        broker=broker.url,
        regions={region: eureka_pair.urls},
        settings={"ops.kubernetes": "false", "ops.viewer_token": VIEWER},
    )
    headers = {"Authorization": f"Bearer {VIEWER}"}
    async with AsyncExitStack() as opened:
        opened.push_async_callback(process.stop)
        await process.start()
        session = await opened.enter_async_context(aiohttp.ClientSession(headers=headers))
        before = connections_of(process, broker.port)
        most, worst = before, 0.0

        async def ask(path: str) -> int:
            async with session.get(process.url + path) as answer:
                return answer.status

        asking = [asyncio.create_task(ask(f"/api/v1/drains/{secrets.token_hex(8)}")) for _ in range(ASKERS)]
        asking += [asyncio.create_task(ask("/api/v1/drains?since=9d")) for _ in range(ASKERS)]
        while not all(one.done() for one in asking):
            begun = time.monotonic()
            assert await ask("/healthz") == 200
            worst = max(worst, time.monotonic() - begun)
            most = max(most, connections_of(process, broker.port))
            await asyncio.sleep(0.02)
        statuses = Counter(one.result() for one in asking)
    print(f"{most - before} more connections, slowest probe {worst:.2f} s, answers {dict(statuses)}")
    assert most - before <= MAX_MORE_CONNECTIONS
    assert worst < MAX_PROBE_SECONDS
    assert statuses[404] == ASKERS
    assert set(statuses) <= {200, 404, 503}
    assert statuses[200] >= 1


def connections_of(process: ControllerProcess, port: int) -> int:
    """Return how many connections the process has to a port."""
    held = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(OSError):
            held.add(descriptor.readlink().name)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[2].rpartition(":")[2], 16) == port and f"socket:[{row[9]}]" in held for row in rows)
