"""What becomes of a message once it was handled. The consumer performs these, and only then acknowledges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from controller.domain.restore import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Acknowledge; nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Send ``order`` (with its new progress) through the delay ladder, then acknowledge."""

    order: Order
    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Put ``order`` among the dead letters of its region, then acknowledge."""

    order: Order
    why: str


Verdict = Done | Retry | Park
Verdicts = tuple[Verdict, ...]
"""A pod may own several instances: one may be given up while the others go on."""
