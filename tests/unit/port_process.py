"""A process that serves the HTTP port as every role does, and floods against it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from controller.ops.metrics import Metrics
from controller.ops.metrics.shutdown_metrics import MAX_WORKLOADS
from controller.ops.port.http_server import serve
from controller.settings import HttpSettings
from tests.stack.usage import memory_bytes

ROOT = Path(__file__).parents[2]
PROBE, FLOOD = "127.0.0.1", "127.0.0.9"
"""Addresses of the loopback: the node that probes, and whoever floods."""
MIB = 1024 * 1024


def crowded_metrics() -> Metrics:
    """Return the metrics of an `ops` that has counted as many workloads as it counts apart."""
    metrics = Metrics(ops=True)
    counters: Any = metrics.shut_down
    shutdowns = counters.__self__
    for number in range(MAX_WORKLOADS):
        name = f"namespace-{number % 50}/deployment/workload-with-a-usual-name-{number}"
        for verdict, reason in (("graceful", ""), ("not_graceful", "no_hook"), ("not_judged", "unknown")):
            shutdowns._shutdowns.labels(name, verdict, reason).inc()
        shutdowns._short.labels(name).inc(1.0)
    return metrics


async def main() -> None:
    """Serve until killed; the port goes to stdout."""
    application = web.Application(client_max_size=64 * 1024)
    application.router.add_get("/large", lambda _: _large())
    async with serve(HttpSettings(host="0.0.0.0", port=0), crowded_metrics(), {}, application) as ports:
        print(ports.http, flush=True)
        await asyncio.Event().wait()


async def _large() -> web.Response:
    return web.Response(body=b"x" * 5 * MIB)


class PortProcess:
    """The process, and what is measured of it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port
        self.opened: list[asyncio.StreamWriter] = []

    @property
    def peak(self) -> int:
        """The most memory that it has had, in MiB."""
        return memory_bytes(self._process.pid, "VmHWM") >> 20

    @property
    def descriptors(self) -> int:
        """The files and sockets that it has open."""
        return sum(1 for _ in Path(f"/proc/{self._process.pid}/fd").iterdir())

    async def connect(self, source: str = FLOOD) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection from an address."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0), limit=1024)
        self.opened.append(writer)
        return reader, writer

    async def send(self, parts: Iterable[bytes], source: str = FLOOD) -> asyncio.StreamReader:
        """Send on a connection of its own until all is sent or the connection is cut."""
        reader, writer = await self.connect(source)
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
        return reader

    async def ask(self, path: str = "/healthz", source: str = PROBE) -> tuple[bytes, float]:
        """Return the answer's first line, and the seconds until it came."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(20):
                reader, writer = await self.connect(source)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {PROBE}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
                writer.close()
        except (OSError, TimeoutError) as error:
            line = repr(error).encode()
        return line.strip(), time.monotonic() - begun

    async def worst_probe(self, seconds: float) -> tuple[set[bytes], float]:
        """Probe as a kubelet does, every 100 ms; return the answers and the longest time until one."""
        end, answers, worst = time.monotonic() + seconds, set(), 0.0
        while time.monotonic() < end:
            answer, took = await self.ask()
            answers.add(answer)
            worst = max(worst, took)
            await asyncio.sleep(0.1)
        return answers, worst


@asynccontextmanager
async def port_process() -> AsyncIterator[PortProcess]:
    """Run it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.port_process", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    served = PortProcess(process, int(await process.stdout.readline()))
    try:
        yield served
    finally:
        for writer in served.opened:
            writer.transport.abort()
        process.kill()
        await process.wait()


def unfinished_head(size: int) -> Iterable[bytes]:
    """Return a request whose headers go on and on, in lines that are short enough each."""
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    line = b"x-" + b"n" * 8 + b": " + b"v" * 16_000 + b"\r\n"
    for _ in range(size // len(line)):
        yield line


if __name__ == "__main__":
    uvloop.run(main())
