"""The proxies do to a connection what they promise, and undo it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.stack.parts import toxiproxy_server
from tests.stack.prerequisites import ReportProgress
from tests.stack.toxiproxy import Proxy, Toxiproxy

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, prefix: bytes = b"") -> None:
    while line := await reader.readline():
        writer.write(prefix + line)
    writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(tmp_path: Path, report_progress: ReportProgress) -> AsyncIterator[Proxy]:
    """Before a server that echoes lines."""
    toxiproxy = Toxiproxy(tmp_path, await toxiproxy_server(report_progress))
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    try:
        await toxiproxy.start()
        yield await toxiproxy.before(secrets.token_hex(4), server.sockets[0].getsockname()[1])
    finally:
        await toxiproxy.close()
        server.close()


async def ask(proxy: Proxy, *, line: bytes = b"hello\n", timeout: float = 5) -> bytes:
    """One line there and back, on a connection of its own; nothing when the connection was closed instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(line)
        return await asyncio.wait_for(reader.readline(), timeout)
    finally:
        writer.close()


async def test_a_healthy_one_passes_everything_on(proxy: Proxy) -> None:
    assert await ask(proxy) == b"hello\n"


async def test_a_half_open_proxy_accepts_but_never_answers_even_old_connections(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"before\n")
    assert await reader.readline() == b"before\n"
    await proxy.hang()
    writer.write(b"during\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.5)
    with pytest.raises(TimeoutError):
        await ask(proxy, timeout=0.5)
    await proxy.heal()
    writer.close()
    assert await ask(proxy) == b"hello\n"


async def test_a_resetting_one_cuts_a_connection_at_its_next_byte(proxy: Proxy) -> None:
    await proxy.reset()
    with suppress(ConnectionError):
        assert await ask(proxy) == b""
    await proxy.heal()
    assert await ask(proxy) == b"hello\n"


async def test_a_slow_one_takes_its_time(proxy: Proxy) -> None:
    await proxy.slow_down(500)
    begun = time.monotonic()
    assert await ask(proxy) == b"hello\n"
    assert time.monotonic() - begun >= 0.5
    await proxy.heal()


async def test_a_narrow_one_takes_longer_for_more(proxy: Proxy) -> None:
    await proxy.narrow(4)
    begun = time.monotonic()
    line = b"x" * 3_999 + b"\n"
    assert await ask(proxy, line=line) == line
    assert time.monotonic() - begun >= 1
    await proxy.heal()


async def test_a_closed_proxy_refuses_and_its_server_may_be_replaced(proxy: Proxy) -> None:
    await proxy.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(proxy)
    await proxy.heal()

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _echo(reader, writer, b"OTHER ")

    other = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with other:
        await proxy.point_to(other.sockets[0].getsockname()[1])
        assert await ask(proxy) == b"OTHER hello\n"
        await proxy.heal()
        assert await ask(proxy) == b"hello\n"
