"""What happened in each rollout, from outside. Pure: others record, the verdict checks, and all of it is in the JSON.

Times are aware UTC. What an instance shows at a node is noted when an answer arrives: a change is noted up to one
sampling interval after it happened, never before. `None` is absence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

UP = "UP"


@dataclass
class Leaving:
    """One old instance, from its pod's deletion on."""

    uid: str
    pod: str
    id: str
    deleted_at: datetime | None = None
    """A watch first showed the deletion."""
    shown: dict[str, list[tuple[datetime, str | None]]] = field(default_factory=dict)
    """By node: from when on it showed which status."""
    pre_stop_ended_at: datetime | None = None
    pre_stop_failure: str | None = None
    sigterm_at: datetime | None = None
    sigkill_at: datetime | None = None
    exited_at: datetime | None = None
    gone_at: datetime | None = None
    """Its pod's object was removed."""

    def apply(self, node: str, status: str | None, at: datetime) -> None:
        """Keep it if it is news."""
        seen = self.shown.setdefault(node, [])
        if not seen or seen[-1][1] != status:
            seen.append((at, status))

    def unlisted_at(self, nodes: Sequence[str]) -> datetime | None:
        """From this moment on no node said UP; None: one does still, or was never read."""
        moments = []
        for node in nodes:
            seen = self.shown.get(node, [])
            if not seen or seen[-1][1] == UP:
                return None
            was_up = max((at for at, (_, status) in enumerate(seen) if status == UP), default=-1)
            moments.append(seen[was_up + 1][0])
        return max(moments)

    def shows(self, status: str | None, nodes: Sequence[str]) -> bool:
        """Whether every node's last answer was this one."""
        return all(self.shown.get(node) and self.shown[node][-1][1] == status for node in nodes)


@dataclass
class Rollout:
    """One restart of one variant's Deployment."""

    variant: str
    number: int
    asked_at: datetime
    """The restart was asked for."""
    leaving: list[Leaving]

    @property
    def gone_at(self) -> datetime | None:
        """The last old pod was; None: not yet, or there was none."""
        moments = [one.gone_at for one in self.leaving if one.gone_at is not None]
        return max(moments, default=None) if len(moments) == len(self.leaving) else None
