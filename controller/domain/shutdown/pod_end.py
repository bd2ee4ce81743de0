"""The end of a drained pod's serving, as a watch saw it: one half of the shutdown verdict (see ``verdict``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EndCause(StrEnum):
    """What ended a pod's serving."""

    no_hook = "no_hook"
    """No preStop hook: SIGTERM came at once."""
    hook = "hook"
    """Its hook was over."""
    grace = "grace"
    """Its grace period was over, or shorter than its own."""
    killed = "killed"
    """By force, out of memory, or by its node."""
    by_itself = "by_itself"
    """It completed, or failed."""
    unknown = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEnd:
    """Published once for all drains of a pod; every replica of the watch publishes the same."""

    cluster: str
    drain_ids: tuple[str, ...]
    namespace: str
    pod: str
    uid: str
    kind: str
    """Of its workload: Deployment, StatefulSet … or Pod, for one that nothing controls."""
    workload: str
    template: str = ""
    """The hash of the template that it was made from; empty without one."""
    at: datetime
    """When it was seen."""
    ended_at: datetime | None
    """When the first of its serving containers ended, or its object was removed; None: no watch saw it."""
    end_cause: EndCause = EndCause.unknown
    why: str = ""
    """The same for people."""
