"""A region at a glance: its queue, its dead letters, its nodes, and the drain that has waited longest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.drain_record import DrainRecord
from controller.domain.durations import elapsed
from controller.domain.events import OPEN

DISAGREE_TIMEOUT = timedelta(seconds=90)
"""Nodes answer from caches that are up to 30 s old, and copy each other with delay: only what lasts is a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One Eureka node. ``counted`` is its own fingerprint of its registry (how many of each status), or empty."""

    node: str
    reachable: bool
    detail: str = ""
    counted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue as the broker counts it: messages that wait, and consumers."""

    messages: int
    consumers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionState:
    """What was seen of a region at ``looked_at``. A queue is None when it could not be counted."""

    region: str
    looked_at: datetime
    work: QueueState | None = None
    dead: QueueState | None = None
    nodes: tuple[NodeState, ...] = ()
    differ_since: datetime | None = None
    """Since when its nodes' registries have differed."""
    oldest: DrainRecord | None = None
    """The drain that has waited longest to be taken out."""

    @property
    def disagree(self) -> bool:
        """Whether its nodes have differed for longer than caches explain."""
        return self.differ_since is not None and self.looked_at - self.differ_since >= DISAGREE_TIMEOUT

    @property
    def oldest_age(self) -> timedelta | None:
        """How long the oldest one has waited."""
        if self.oldest is None:
            return None
        return elapsed(_waits_since(self.oldest), self.looked_at) or timedelta(0)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What somebody should look at, in words."""
        found = [f"{node.node} does not answer: {node.detail}" for node in self.nodes if not node.reachable]
        if self.work is None:
            found.append("its queue cannot be counted")
        elif not self.work.consumers:
            found.append("nobody consumes its queue: is a worker running?")
        if self.disagree:
            found.append("its nodes hold different registries")
        if self.dead is not None and self.dead.messages:
            found.append(f"{self.dead.messages} dead letters")
        return tuple(found)


def differ(nodes: Iterable[NodeState]) -> bool:
    """Whether nodes that answer show different registries."""
    return len({node.counted for node in nodes if node.reachable}) > 1


def oldest_open(records: Iterable[DrainRecord], region: str) -> DrainRecord | None:
    """Return the drain of a region that has waited longest."""
    waiting = [record for record in records if record.region == region and record.state in OPEN]
    return min(waiting, key=_waits_since, default=None)


def _waits_since(record: DrainRecord) -> datetime:
    """When the pod began to go, or when somebody asked again: a replay of yesterday's drain has not waited since."""
    since = record.since_at or record.began_at
    return max(since, record.requested_at) if record.requested_at else since
