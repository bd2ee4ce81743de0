"""What a recording proxy cuts a conversation into."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Effect:
    """What a server keeps of a request. `kind` bears no name of a run, so that two runs can be compared."""

    kind: str
    body: bytes = b""
    in_flight: int = 0
    """How many more commands the broker holds for the region afterwards: 1, 0 or -1."""


@dataclass(frozen=True)
class Unit:
    """What goes to the server as a whole or not at all."""

    data: bytes
    effect: Effect | None = None
    answer: Hashable | None = None
    """What the server's answer to it will be known by; None when none will come."""


@dataclass(frozen=True)
class Piece:
    """What goes to the client, and which units it answers."""

    data: bytes
    answers: frozenset[Hashable] = frozenset()


class Talk(Protocol):
    """One connection, both directions. What cannot be cut yet is kept until more has come."""

    def sent(self, data: bytes) -> list[Unit]:
        """Take what the client sent."""
        ...

    def answered(self, data: bytes) -> list[Piece]:
        """Take what the server sent."""
        ...


class PlainTalk:
    """Bytes that nobody reads, such as TLS."""

    def sent(self, data: bytes) -> list[Unit]:
        return [Unit(data)]

    def answered(self, data: bytes) -> list[Piece]:
        return [Piece(data)]
