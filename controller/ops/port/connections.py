"""What the connections of the HTTP port may hold, and which one is cut when they hold too much.

The library bounds one header and the silence between two requests. It bounds neither the whole head of a request, nor
how long that takes to come, nor how long an answer takes to be read, nor the number of connections. So each connection
stands between the transport and the library's protocol, and passes on what it gets.

Order of a cut: the address that holds the most loses first, so that nobody else's connection, a probe's least of all,
is cut for it. Of one address, what waits for a request goes first, then what does not read its answer, then the rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import _ErrInfo
from loguru import logger

from controller.bounds import MAX_PORT_BYTES

MAX_CONNECTIONS = 512
MAX_CONNECTIONS_PER_PEER = 256
"""Of one address, behind which may be a proxy with everybody."""
MAX_HEAD_BYTES = 32 * 1024
"""The request line and all headers: a token of 16 KiB, and as much again."""
MAX_REQUEST_BYTES = 512 * 1024
"""What may come before the answer: two reads of the transport, so that whoever sends too much still gets its answer."""
MAX_WAITING_REQUESTS = 4
"""Requests that were sent before the first of them was answered."""
HEAD_TIMEOUT = 10.0
"""Seconds from a connection, or from a request's first byte, to the end of its headers."""
WRITE_TIMEOUT = 20.0
"""Seconds in which an answer is to be read."""
SWEEP_INTERVAL = 1.0
"""Seconds between two looks at what takes too long."""
LOG_INTERVAL = 10.0
"""Seconds between two log lines: anybody can cause one."""
UNTIDY_BYTES = 16 * 1024
"""What one connection may hold before all of them are added up."""
_WHY_TOO_LARGE = b"the request line and the headers may have %d KiB\n" % (MAX_HEAD_BYTES // 1024)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n" + _WHY_TOO_LARGE


class CutReason(Enum):
    """Why a connection is cut."""

    sent_ahead = "sent_ahead"
    request_too_large = "request_too_large"
    too_many = "too_many"
    too_much_held = "too_much_held"
    not_read_in_time = "not_read_in_time"
    no_request_in_time = "no_request_in_time"


class Connection(asyncio.Protocol):
    """One connection, and the library's protocol behind it."""

    transport: asyncio.Transport

    def __init__(self, protocol: web.RequestHandler, connections: Connections) -> None:
        self.protocol = protocol
        self._connections = connections
        self.peer = ""
        self.answered = 0
        """Requests whose handler has ended."""
        self.handling = False
        self.is_followed = False
        """Whether anything came after the head of the last request: a body, or what may be the next head."""
        self.is_ending = False
        """Whether the last answer ends it."""
        self.is_mistaken = False
        """Whether what came is no request: what comes after it is none of ours."""
        self.received = 0
        """Bytes that came since the last moment at which nothing was unanswered."""
        self.answer_size = 0
        """Bytes of the answer that is being written."""
        self.head_since: float | None = None
        self.unsent_since: float | None = None
        self.opened_at = 0.0

    @property
    def unanswered(self) -> int:
        """How many requests were read whole and have no answer yet."""
        return self.protocol._request_count - self.answered

    @property
    def unsent(self) -> int:
        """The bytes of answers that the other side has not taken."""
        return self.transport.get_write_buffer_size()

    @property
    def held(self) -> int:
        """The bytes that it costs. An answer is held twice until the last of it is sent, by us and by the transport."""
        return self.received + max(self.unsent, 2 * self.answer_size)

    @property
    def worth(self) -> int:
        """What speaks against cutting it: 0 for what waits for a request, 2 for what is being answered."""
        if self.unsent:
            return 1
        return 2 if self.handling else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it up, perhaps in the place of another."""
        # uvloop's is one without being declared as one.
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if name else ""
        self.opened_at = self.head_since = self._connections.clock()
        self.protocol.connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections.discard(self)
        self.protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, and cut what has sent too much."""
        before = self.protocol._request_count
        self.received += len(data)
        if not self.is_mistaken:
            self.protocol.data_received(data)
        if self.protocol._request_count != before:
            self._forget_what_was_wrong()
            self.head_since = None
            self.is_followed = self.unanswered > 1 or not data.endswith(b"\r\n\r\n")
            if self.unanswered > MAX_WAITING_REQUESTS:
                self.cut(CutReason.sent_ahead)
                return
        elif self.unanswered or self.is_ending:
            self.is_followed = True
        else:
            if self.head_since is None:
                self.head_since = self._connections.clock()
            if self.received > MAX_HEAD_BYTES:
                self._refuse_head()
                return
        if self.received > MAX_REQUEST_BYTES:
            self.cut(CutReason.request_too_large)
        elif self.received > UNTIDY_BYTES:
            self._connections.tidy()

    def eof_received(self) -> bool | None:
        """Pass it on."""
        self.protocol.eof_received()
        return None

    def pause_writing(self) -> None:
        """Note that an answer is not being read."""
        self.protocol.pause_writing()
        self._connections.tidy()

    def resume_writing(self) -> None:
        """Go on: nearly all of the answer is sent."""
        self.answer_size = 0
        self.protocol.resume_writing()

    def begin(self) -> None:
        """Note that a request is being handled."""
        self.handling = True

    def end(self, size: int) -> None:
        """Note that its answer is there, and how many bytes are yet to be written of it."""
        self.handling = False
        self.answered += 1
        # What came after the head may be the beginning of another, and nobody sees how much of one. So it ends here.
        self.is_ending = self.is_followed
        if not self.is_ending:
            self.received = 0
        # Many answers may be made before the first of them is written.
        self.answer_size = size
        if size > UNTIDY_BYTES:
            self._connections.tidy(self)

    def cut(self, why: CutReason) -> None:
        """End it at once, whatever was to be sent."""
        self._connections.discard(self)
        self._connections.count_cut(why)
        self.transport.abort()

    def _forget_what_was_wrong(self) -> None:
        # A mistake's traceback holds what came, up to 256 KiB, and itself: only the collector would free it.
        mistake = self.protocol._messages[-1][0] if self.protocol._messages else None
        if isinstance(mistake, _ErrInfo):
            mistake.exc.__traceback__ = None
            self.is_mistaken = self.is_ending = True

    def _refuse_head(self) -> None:
        if self.protocol._request_count:
            self.cut(CutReason.request_too_large)
            return
        self._connections.count_cut(CutReason.request_too_large)
        self.transport.write(_TOO_LARGE)
        self.transport.close()


class Connections:
    """All connections of a process's ports."""

    def __init__(self, on_cut: Callable[[CutReason], object] = lambda _: None) -> None:
        """``on_cut`` is given the reason of each cut."""
        self._on_cut = on_cut
        self._all: dict[web.RequestHandler, Connection] = {}
        self._per_peer: Counter[str] = Counter()
        self._sweeping: asyncio.TimerHandle | None = None
        self._cut: Counter[CutReason] = Counter()
        self._quiet_until = 0.0

    def __len__(self) -> int:
        return len(self._all)

    def clock(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def factory(self, server: web.Server) -> Callable[[], Connection]:
        """Return what makes the protocol of each new connection."""
        return lambda: Connection(server(), self)

    def add(self, new: Connection) -> None:
        """Take a connection up; where there are too many, another one goes."""
        self._all[new.protocol] = new
        self._per_peer[new.peer] += 1
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)
        if self._per_peer[new.peer] > MAX_CONNECTIONS_PER_PEER:
            self._cut_weakest((one for one in self._all.values() if one.peer == new.peer), new)
        elif len(self._all) > MAX_CONNECTIONS:
            most = max(self._per_peer.values())
            self._cut_weakest((one for one in self._all.values() if self._per_peer[one.peer] == most), new)

    def discard(self, one: Connection) -> None:
        """Forget a connection."""
        if self._all.pop(one.protocol, None) is not None:
            self._per_peer[one.peer] -= 1
            if not self._per_peer[one.peer]:
                del self._per_peer[one.peer]

    def count_cut(self, why: CutReason) -> None:
        """Count a connection that was cut."""
        self._cut[why] += 1
        self._on_cut(why)
        if self.clock() >= self._quiet_until:
            self._quiet_until = self.clock() + LOG_INTERVAL
            reasons = ", ".join(f"{reason.value}: {count}" for reason, count in self._cut.most_common())
            logger.bind(reasons=reasons, open=len(self._all)).warning("connections to the HTTP port are cut")
            self._cut.clear()

    def tidy(self, new: Connection | None = None) -> None:
        """Cut the largest of the address that holds the most, until all of them fit together.

        What is cut is freed a moment later. So an answer that is not written yet, ``new``, goes before one that is.
        """
        held = {one: one.held for one in self._all.values()}
        total = sum(held.values())
        while total > MAX_PORT_BYTES:
            by_peer: Counter[str] = Counter()
            for one, size in held.items():
                by_peer[one.peer] += size
            [(peer, _)] = by_peer.most_common(1)
            largest = max((one for one in held if one.peer == peer), key=lambda one: (one is new, held[one]))
            total -= held.pop(largest)
            largest.cut(CutReason.too_much_held)

    def close(self) -> None:
        """Stop looking."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def of(self, request: web.Request) -> Connection | None:
        """Return a request's connection; None when it is cut."""
        return self._all.get(request.protocol)

    def _cut_weakest(self, candidates: Iterable[Connection], new: Connection) -> None:
        # Never the new one: it may be a probe, and what stood there longer had its time.
        weakest = min((one for one in candidates if one is not new), key=lambda one: (one.worth, one.opened_at))
        weakest.cut(CutReason.too_many)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self.clock()
        for one in list(self._all.values()):
            if not one.unsent:
                one.unsent_since, one.answer_size = None, 0
            elif one.unsent_since is None:
                one.unsent_since = now
            elif now - one.unsent_since >= WRITE_TIMEOUT:
                one.cut(CutReason.not_read_in_time)
                continue
            if one.head_since is not None and now - one.head_since >= HEAD_TIMEOUT:
                one.cut(CutReason.no_request_in_time)
        self.tidy()
        if self._all:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)
