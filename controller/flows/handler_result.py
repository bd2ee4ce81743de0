"""What becomes of a message once it was handled. The consumer performs these, and only then acknowledges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from controller.domain.takeover import WorkItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Acknowledge; nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Send ``order`` (with its new progress) through the delay ladder, then acknowledge."""

    item: WorkItem
    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Put ``order`` among the dead letters of its region, then acknowledge."""

    item: WorkItem
    why: str


HandlerResult = Ack | Delay | DeadLetter
HandlerResults = tuple[HandlerResult, ...]
"""A pod may own several instances: one may be given up while the others go on."""
