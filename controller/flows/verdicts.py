"""What becomes of a message once it was handled. The consumer performs these, and only then acknowledges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from controller.domain.commands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Acknowledge; nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Send ``command`` (with its new progress) through the delay ladder, then acknowledge."""

    command: Command
    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Put ``command`` among the dead letters of its region, then acknowledge."""

    command: Command
    why: str


Verdict = Done | Retry | Park
Verdicts = tuple[Verdict, ...]
"""A pod may own several instances: one may be given up while the others go on."""
