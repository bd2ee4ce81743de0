"""What becomes of a message once it was handled. The consumer performs these, and only then acknowledges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from controller.domain.commands import WorkItem
from controller.domain.reason import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Acknowledge; nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Keep the message unacknowledged, and ``go_on`` after that time: what was learned may die with the process.

    Whoever cannot keep it sends it through the delay queues instead.
    """

    item: WorkItem
    after: timedelta
    go_on: Callable[[], Awaitable[HandlerResults]]
    sooner: Callable[[], AbstractContextManager[asyncio.Event]]
    """Yields, for as long as it is waited, what is set when there is a reason to go on at once."""
    alone: Delay
    """What is sent through the delay queues instead, where nobody would wake it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Send ``item`` (with its new progress) through the delay queues, then acknowledge."""

    item: WorkItem
    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceed:
    """Send ``item`` (with its new progress) straight to its region's queue, then acknowledge: it is written down."""

    item: WorkItem


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """Put ``item`` among the dead letters of its region, then acknowledge."""

    item: WorkItem
    reason: Reason


HandlerResult = Ack | Wait | Delay | Proceed | DeadLetter
HandlerResults = tuple[HandlerResult, ...]
"""A pod may own several instances: one may be given up while the others go on."""
