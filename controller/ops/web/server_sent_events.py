"""Server-sent events: each new event of the log, and each pod's end, for every browser that listens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import assert_never

from aiohttp import web

from controller.domain.events import Event, LogEntry, PodGoneEvent, TakeoverEvent
from controller.domain.shutdown.pod_end import PodEnd
from controller.messages.codec import encode_end, encode_entry
from controller.ops.auth.headers import ENDLESS

MAX_LISTENERS = 200
MAX_WAITING = 1_000
"""Events that wait for a slow listener; one more ends its connection, and it asks again."""
KEEP_ALIVE_INTERVAL = 15.0
"""Seconds after which a comment is sent, so that no proxy takes the connection for dead."""


class Live:
    """All listeners. ``apply`` reads the event log."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[bytes], bool] = {}
        """Each with whether it wants the ends of pods, too."""
        self._following: set[asyncio.Task[object]] = set()
        self._late: set[asyncio.Queue[bytes]] = set()
        self.open = False
        """Whether events are new: what is read at the start is not sent."""

    def apply(self, event: LogEntry) -> None:
        """Take the next event of the log."""
        if not self._has_listeners:
            return
        # The body is JSON of one line: a newline in a reason is escaped there.
        match event:
            case Event():
                kind = b"drain"
            case TakeoverEvent():
                kind = b"takeover"
            case PodGoneEvent():
                kind = b"gone"
            case _:
                assert_never(event)
        self._send(
            b"event: " + kind + b"\nid: " + event.event_id.encode() + b"\ndata: " + encode_entry(event) + b"\n\n"
        )

    def apply_end(self, end: PodEnd) -> None:
        """Take the next pod's end."""
        if self._has_listeners:
            self._send(b"event: end\ndata: " + encode_end(end) + b"\n\n", end=True)

    @property
    def _has_listeners(self) -> bool:
        return self.open and bool(self._listeners)

    def _send(self, event: bytes, *, end: bool = False) -> None:
        for listener, wants_ends in self._listeners.items():
            if end and not wants_ends:
                continue
            try:
                listener.put_nowait(event)
            except asyncio.QueueFull:
                self._late.add(listener)

    def close(self) -> None:
        """End every connection, because this process ends."""
        for following in list(self._following):
            following.cancel()

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send events until the listener closes the connection."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise web.HTTPServiceUnavailable(reason="too many listeners: try again later")
        request[ENDLESS] = True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        listener: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._listeners[listener] = request.query.get("ends") == "1"
        following = asyncio.current_task()
        assert following is not None
        self._following.add(following)
        try:
            await response.write(b"retry: 3000\n: listening\n\n")
            with suppress(ConnectionError):
                while listener not in self._late:
                    await response.write(await _next(listener))
        finally:
            self._following.discard(following)
            self._listeners.pop(listener, None)
            self._late.discard(listener)
        return response


async def _next(listener: asyncio.Queue[bytes]) -> bytes:
    try:
        async with asyncio.timeout(KEEP_ALIVE_INTERVAL):
            return await listener.get()
    except TimeoutError:
        return b": still here\n\n"
