"""Whoever reaches the HTTP port floods it: the process keeps its memory, and the node's probe gets its answer.

The process is a real one. Without these bounds the same floods took 499, 81 and 2,478 MiB, and probes 1 to 5 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from controller.ops.port.connections import MAX_CONNECTIONS_PER_PEER
from tests.unit.port_process import MIB, PortProcess, port_process, unfinished_head

MAX_PEAK = 150
"""MiB of a container's 512; 60 of them before the flood."""
MAX_PROBE_SECONDS = 2.0
"""A second, and another one for a busy machine."""
FINE = {b"HTTP/1.1 200 OK"}


def sent_ahead() -> Iterable[bytes]:
    """Requests behind one whose answer is large, and nothing is read."""
    yield b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
    fields = b"".join(b"x-%d: %s\r\n" % (number, b"v" * 15_000) for number in range(2))
    for _ in range(40):
        yield b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n"


FLOODS: dict[str, tuple[int, Callable[[], Iterable[bytes]]]] = {
    "unfinished headers of 2 MB": (135, lambda: unfinished_head(2 * MIB)),
    "metrics that are not read": (15, lambda: [b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"]),
    "large answers that are not read": (100, lambda: [b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"]),
    "requests sent ahead": (200, sent_ahead),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_costs_little_memory_and_no_probe(flood: str) -> None:
    count, parts = FLOODS[flood]
    async with port_process() as served:
        sending = [asyncio.create_task(served.send(parts())) for _ in range(count)]
        answers, worst = await served.worst_probe(3)
        peak = served.peak
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    print(f"{flood}: peak {peak} MiB, slowest probe {worst:.2f} s")
    assert answers == FINE
    assert (peak < MAX_PEAK, worst < MAX_PROBE_SECONDS) == (True, True), (peak, worst)


@pytest.mark.parametrize(
    "before", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["at once", "after a request"]
)
async def test_what_is_no_request_leaves_nothing_behind_when_refused(before: bytes) -> None:
    async with port_process() as served:

        async def refused_again_and_again() -> None:
            for _ in range(12):
                await served.send([before + b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 2 * MIB])

        await asyncio.gather(*(refused_again_and_again() for _ in range(45)))
        answers, _ = await served.worst_probe(0.5)
        assert (answers, served.peak < MAX_PEAK) == (FINE, True), served.peak


async def test_idle_connections_without_number_keep_no_probe_out() -> None:
    async with port_process() as served:
        readers = [await opened(served) for _ in range(2 * MAX_CONNECTIONS_PER_PEER)]
        answers, worst = await served.worst_probe(1)
        assert served.descriptors < MAX_CONNECTIONS_PER_PEER + 50
        assert (answers, worst < MAX_PROBE_SECONDS) == (FINE, True)
        # The oldest went, and the newest are there.
        async with asyncio.timeout(5):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await readers[0].readexactly(1)


async def opened(served: PortProcess) -> asyncio.StreamReader:
    reader, _ = await served.connect()
    return reader
