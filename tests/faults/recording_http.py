"""One HTTP/1.1 connection, cut into whole requests and whole answers: PUT and DELETE are the side effects.

Trap: a connection is kept alive for many requests, and an answer's end shows only in its length or its last chunk.
"""

from __future__ import annotations

import re

from tests.faults.recording_units import Effect, Piece, Unit

_HEAD_END = b"\r\n\r\n"
_WITHOUT_BODY = (b"204", b"304")


class HttpTalk:
    """Both directions of one connection to a registry's node. Not for upgrades, `100-continue` or HEAD."""

    def __init__(self, node: str) -> None:
        """`node` is what the node is called in an effect's kind."""
        self._node = node
        self._sent = b""
        self._answered = b""
        self._requests = 0
        self._answers = 0

    def sent(self, data: bytes) -> list[Unit]:
        """The requests that are complete by now."""
        self._sent += data
        found = []
        while (size := _message_size(self._sent)) is not None:
            request, self._sent = self._sent[:size], self._sent[size:]
            self._requests += 1
            found.append(Unit(request, effect=self._effect(request), answer=self._requests))
        return found

    def answered(self, data: bytes) -> list[Piece]:
        """The answers that are complete by now."""
        self._answered += data
        found = []
        while (size := _message_size(self._answered)) is not None:
            answer, self._answered = self._answered[:size], self._answered[size:]
            self._answers += 1
            found.append(Piece(answer, frozenset({self._answers})))
        return found

    def _effect(self, request: bytes) -> Effect | None:
        method, target, _ = request.split(b"\r\n", 1)[0].decode().split(" ", 2)
        if method not in ("PUT", "DELETE"):
            return None
        path, _, query = target.partition("?")
        what = "/status" if path.endswith("/status") else ""
        value = f"?{query}" if query else ""
        return Effect(f"{method} …{what}{value} at node {self._node}")


def _message_size(data: bytes) -> int | None:
    """The size of the first message, or None while it is incomplete."""
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    lines = data[:end].split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    begin = end + len(_HEAD_END)
    if lines[0].startswith(b"HTTP/") and lines[0].split(b" ")[1] in _WITHOUT_BODY:
        return begin
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return _chunked_size(data, begin)
    size = begin + int(headers.get(b"content-length", b"0"))
    return size if len(data) >= size else None


def _chunked_size(data: bytes, at: int) -> int | None:
    while (line := re.compile(rb"([0-9a-fA-F]+)[^\r\n]*\r\n").match(data, at)) is not None:
        length = int(line[1], 16)
        if length == 0:
            # No trailers are expected: an empty line ends it.
            end = line.end() + 2
            return end if len(data) >= end else None
        at = line.end() + length + 2
        if at > len(data):
            return None
    return None
