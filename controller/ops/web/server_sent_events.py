"""Server-sent events: each new event of the log, and each pod's end, for every browser that listens.

A stream lasts as long as the right behind it: that is asked again every few seconds, from what is remembered. A
listener that does not read is late, and cut: by its queue, or by the port's write timeout.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import assert_never

from aiohttp import web

from controller.domain.events import Event, LogEntry, PodGoneEvent, TakeoverEvent
from controller.domain.shutdown.pod_end import PodEnd
from controller.messages.codec import encode_end, encode_entry
from controller.ops.auth.decision_cache import User
from controller.ops.auth.headers import ENDLESS
from controller.ops.auth.refusals import OverloadedError, RefusedError, TooManyAttemptsError, UnavailableError
from controller.ops.web.event_format import comment_bytes, event_bytes
from controller.ops.web.queries import EventsQuery, read

MAX_LISTENERS = 256
MAX_LISTENERS_PER_USER = 8
MAX_LISTENERS_PER_SHARED_USER = 64
"""Of one of the settings' tokens, and of everybody without a token."""
MAX_WAITING = 1_000
"""Events that wait for a slow listener; one more ends its connection, and it asks again."""
KEEP_ALIVE_INTERVAL = 10.0
"""Seconds after which a comment is sent, so that no proxy takes the connection for dead."""
RIGHTS_INTERVAL = 10.0
"""Seconds between two looks at the right. A yes is remembered for 30 s: a stream ends within 40 s after its right."""
UNCHECKED_TIMEOUT = 120.0
"""Seconds for which a stream goes on while the API server cannot say whether it may."""
RETRY_SECONDS = 10
"""Seconds after which somebody with too many streams may ask again."""

Check = Callable[[], Awaitable[object]]
"""RefusedError when the right has ended."""


class Live:
    """All listeners. ``apply`` reads the event log."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[bytes], bool] = {}
        """Each with whether it wants the ends of pods, too."""
        self._per_user: Counter[str] = Counter()
        self._following: set[asyncio.Task[object]] = set()
        self._late: set[asyncio.Queue[bytes]] = set()
        self.open = False
        """Whether events are new: what is read at the start is not sent."""

    def apply(self, event: LogEntry) -> None:
        """Take the next event of the log."""
        if not self._has_listeners:
            return
        match event:
            case Event():
                kind = "drain"
            case TakeoverEvent():
                kind = "takeover"
            case PodGoneEvent():
                kind = "gone"
            case _:
                assert_never(event)
        self._send(event_bytes(encode_entry(event), event=kind, event_id=event.event_id))

    def apply_end(self, end: PodEnd) -> None:
        """Take the next pod's end."""
        if self._has_listeners:
            self._send(event_bytes(encode_end(end), event="end"), end=True)

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

    async def follow(self, request: web.Request, user: User, check: Check) -> web.StreamResponse:
        """Send events until the listener closes the connection, or ``check`` says that its right has ended."""
        wants_ends = read(EventsQuery, request.query).ends == "1"
        self._refuse_one_too_many(user)
        listener: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        following = asyncio.current_task()
        assert following is not None
        request[ENDLESS] = True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        self._listeners[listener] = wants_ends
        self._per_user[user.name] += 1
        self._following.add(following)
        try:
            with suppress(ConnectionError):
                await response.prepare(request)
                await response.write(b"retry: 3000\n: listening\n\n")
                await self._pass_on(listener, response, check)
        finally:
            self._following.discard(following)
            self._listeners.pop(listener, None)
            self._late.discard(listener)
            self._per_user[user.name] -= 1
            self._per_user += Counter()  # drops those who have none
        return response

    def _refuse_one_too_many(self, user: User) -> None:
        if len(self._listeners) >= MAX_LISTENERS:
            raise OverloadedError("too many listeners: try again later")
        most = MAX_LISTENERS_PER_SHARED_USER if user.shared else MAX_LISTENERS_PER_USER
        if self._per_user[user.name] >= most:
            text = f"{user.name} has {most} event streams already: close one of them"
            raise TooManyAttemptsError(text, seconds=RETRY_SECONDS)

    async def _pass_on(self, listener: asyncio.Queue[bytes], response: web.StreamResponse, check: Check) -> None:
        loop = asyncio.get_running_loop()
        proved = looked = loop.time()
        while listener not in self._late:
            await response.write(await _next(listener))
            if loop.time() - looked < RIGHTS_INTERVAL:
                continue
            looked = loop.time()
            try:
                await check()
                proved = loop.time()
            except UnavailableError:
                if loop.time() - proved < UNCHECKED_TIMEOUT:
                    continue
                await response.write(comment_bytes("nobody can say any more whether you may read this"))
                return
            except RefusedError:
                await response.write(comment_bytes("you may not read this any more"))
                return


async def _next(listener: asyncio.Queue[bytes]) -> bytes:
    try:
        async with asyncio.timeout(KEEP_ALIVE_INTERVAL):
            return await listener.get()
    except TimeoutError:
        return comment_bytes("still here")
