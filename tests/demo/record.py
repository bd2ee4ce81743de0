"""What was seen of each instance, node by node. Pure: the sampler records, the view shows, the verdict checks.

Only changes are kept: a status is what it was until another one is noted. `None` is absence, before the first
registration as well as after the last; `ABSENT` and `GONE` are the words for the two.

Trap: times are when an answer arrived: a change is noted up to one sampling interval after it happened, never before.
"""

from dataclasses import dataclass, field
from datetime import datetime

ABSENT = "-"
GONE = "gone"
OUT_OF_SERVICE = "OUT_OF_SERVICE"


@dataclass(frozen=True)
class Change:
    """From this moment on a node showed this status."""

    at: datetime
    status: str | None


@dataclass
class Instance:
    """One pod's registration. `silent`: its app ends without deregistering."""

    app: str
    id: str
    pod: str
    uid: str
    old: bool
    silent: bool
    deleted_at: datetime | None = None
    sigterm_at: datetime | None = None
    exited_at: datetime | None = None
    changes: dict[str, list[Change]] = field(default_factory=dict)

    def apply(self, node: str, status: str | None, at: datetime) -> bool:
        """Keep it if it is news."""
        seen = self.changes.setdefault(node, [])
        if status == (seen[-1].status if seen else None):
            return False
        seen.append(Change(at, status))
        return True

    def status(self, node: str) -> str:
        """The latest, in words."""
        seen = self.changes.get(node)
        return (seen[-1].status or GONE) if seen else ABSENT

    def first(self, node: str, status: str | None) -> datetime | None:
        """When a node first showed it; for None: when the instance first went."""
        return next((change.at for change in self.changes.get(node, []) if change.status == status), None)

    def last_gone(self, node: str) -> datetime | None:
        """When the instance went for good, if it is gone."""
        seen = self.changes.get(node)
        return seen[-1].at if seen and seen[-1].status is None else None

    def since_deletion(self, at: datetime) -> float | None:
        """Seconds; None while the pod is not being deleted."""
        return None if self.deleted_at is None else (at - self.deleted_at).total_seconds()


@dataclass
class Record:
    """All instances by their pods' uid, in order of appearance."""

    nodes: tuple[str, ...]
    instances: dict[str, Instance] = field(default_factory=dict)
    longest_pause: float = 0
    """Seconds between two readings of the same instance at the same node: how exact the times are."""
    unanswered: int = 0

    @property
    def old(self) -> list[Instance]:
        """Those whose pods were there before the restart."""
        return [one for one in self.instances.values() if one.old]

    @property
    def new(self) -> list[Instance]:
        """Those whose pods the restart brought."""
        return [one for one in self.instances.values() if not one.old]
