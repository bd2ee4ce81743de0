"""One call as the caller wrote it down, and how it ended. Pure.

Lost is every call that was not answered with success, whatever the reason. What kind it is comes from the first word in
the exception's chain that says so: the outermost exception is always Spring's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NOBODY = "-"
"""The instance of a call for which none was known."""


class Kind(StrEnum):
    """How a call was lost."""

    REFUSED = "connection refused"
    CLOSED = "connection reset or closed"
    TIMED_OUT = "timed out"
    FAILED = "answered with 5xx"
    NO_INSTANCE = "no instance known"
    OTHER = "otherwise"


_WORDS = (
    # Before "refused": what does not answer in time is a kind of ConnectException with Apache's client.
    (Kind.TIMED_OUT, re.compile(r"timed out|TimeoutException")),
    (Kind.REFUSED, re.compile(r"Connection refused|HttpHostConnectException|ConnectException")),
    (
        Kind.CLOSED,
        re.compile(r"reset|closed|NoHttpResponse|failed to respond|Broken pipe|EOF|end of (stream|file)", re.I),
    ),
    (Kind.NO_INSTANCE, re.compile(r"No instances available")),
)


@dataclass(frozen=True, slots=True)
class Call:
    """Times are milliseconds since 1970."""

    begun: int
    ended: int
    instance: str
    outcome: str
    """The HTTP status, or the exception with its causes."""

    @property
    def lost(self) -> Kind | None:
        """None: it was answered with success."""
        if self.outcome.isdigit():
            return None if 200 <= int(self.outcome) < 300 else Kind.FAILED if int(self.outcome) >= 500 else Kind.OTHER
        return next((kind for kind, words in _WORDS if words.search(self.outcome)), Kind.OTHER)

    @property
    def took(self) -> int:
        """Milliseconds."""
        return self.ended - self.begun


def parse(lines: Iterable[str]) -> list[Call]:
    """Whole lines of a caller's log."""
    found = []
    for line in lines:
        begun, ended, instance, outcome = line.rstrip("\n").split("\t", 3)
        found.append(Call(int(begun), int(ended), instance, outcome))
    return found
