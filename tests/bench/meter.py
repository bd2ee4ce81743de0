"""What goes over the wire to one server: a proxy in between that counts requests and bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

REQUEST = b" HTTP/1.1\r\n"
"""How a request's first line ends; an answer's begins with it."""
PIECE = 65_536


@dataclass
class Meter:
    """So far. Requests are HTTP's; a server of something else has none."""

    url: str
    requests: int = 0
    received: int = 0
    """Bytes that the server sent."""
    sent: int = 0


@asynccontextmanager
async def metered(url: str) -> AsyncIterator[Meter]:
    """Whoever uses the meter's URL instead of this one is counted."""
    parts = urlsplit(url)
    assert parts.hostname
    meter = Meter("")
    connected: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        connected.add(task)
        try:
            with suppress(OSError):
                await _carry(meter, reader, writer, *await asyncio.open_connection(parts.hostname, parts.port))
        finally:
            connected.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    netloc = parts.netloc.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")
    meter.url = parts._replace(netloc=netloc).geturl()
    async with AsyncExitStack() as ended:
        ended.callback(server.close)
        yield meter
        for task in connected:
            task.cancel()
        await asyncio.gather(*connected, return_exceptions=True)


async def _carry(
    meter: Meter,
    ours: asyncio.StreamReader,
    to_us: asyncio.StreamWriter,
    theirs: asyncio.StreamReader,
    to_them: asyncio.StreamWriter,
) -> None:
    before = b""

    def asked(piece: bytes) -> None:
        nonlocal before
        meter.sent += len(piece)
        text = before + piece
        meter.requests += text.count(REQUEST)
        before = text[-len(REQUEST) + 1 :]

    def answered(piece: bytes) -> None:
        meter.received += len(piece)

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(ours, to_them, asked))
            both.create_task(_pass_on(theirs, to_us, answered))
    finally:
        to_us.close()
        to_them.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while piece := await reader.read(PIECE):
            note(piece)
            writer.write(piece)
            await writer.drain()
    writer.close()
