"""A port before several servers, as kube-proxy and load balancers are: what is open stays where it is.

Only new connections go to the server that is named last. Bytes pass unread, TLS with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

CHUNK = 64 * 1024
Note = Callable[[bytes], None]
"""Takes each piece that goes one way."""


class Balancer:
    """An async context manager."""

    def __init__(self, upstream: int) -> None:
        """``upstream``: the port on this machine that new connections go to; it may be set later."""
        self.upstream = upstream
        self.port = 0
        self.accepted = 0
        """Connections so far."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def notes(self) -> tuple[Note, Note]:
        """Who takes what a new connection sends, and what it is answered."""
        return _unnoted, _unnoted

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._pass_on(reader, writer), name="pass on")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            behind, before = await asyncio.open_connection("127.0.0.1", self.upstream)
            sent, answered = self.notes()
            await asyncio.gather(_pump(reader, before, sent), _pump(behind, writer, answered))
        writer.close()


def _unnoted(_: bytes) -> None:
    pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Note) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            note(chunk)
            writer.write(chunk)
            await writer.drain()
    writer.close()
