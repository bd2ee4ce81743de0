"""What is on the broker of all that the settings need, and what is there of regions that they no longer name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PartKind(StrEnum):
    """What a part is to the broker."""

    exchange = "exchange"
    queue = "queue"
    stream = "stream"
    binding = "binding"


class PartState(StrEnum):
    """How a part is found."""

    present = "present"
    missing = "missing"
    different = "different"
    """It is there with other arguments."""
    unknown = "unknown"
    """A binding between parts that are there: nobody can ask the broker for one, but everybody may make it anew."""
    abandoned = "abandoned"
    """A queue of a region that the settings do not name, and that nobody consumes."""

    @property
    def is_wrong(self) -> bool:
        """Whether somebody has to do something about it."""
        return self in (PartState.missing, PartState.different)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyPart:
    """One exchange, queue, stream or binding."""

    kind: PartKind
    name: str
    state: PartState
    messages: int | None = None
    """How many wait in it; None in what holds none, or is not there."""
    detail: str = ""
    """The broker's words about what differs; of an abandoned queue, the region."""
