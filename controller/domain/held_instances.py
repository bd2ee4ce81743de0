"""What a drain holds out of service, by the event log: an override of ours that somebody may inherit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.domain.causes import REVERSIBLE, Cause

InstanceKey = tuple[str, str, str]
"""Drain id, app and instance id."""
IndexKey = tuple[str, ...]
"""By what held instances are asked for: the kind of fact, and the fact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """One instance that a drain took out of service, and that nobody has deleted or given back since."""

    drain_id: str
    region: str
    app: str
    id: str
    cause: Cause
    namespace: str
    pod: str
    uid: str
    ip: str
    since_at: datetime
    """When the drained pod began to go."""
    out_at: datetime
    """When OUT_OF_SERVICE was proved."""
    end_at: datetime | None = None
    """When the drained pod is over at the latest, as far as was known then."""
    dirty_at: datetime | None = None
    """The drained registration's ``lastDirtyTimestamp``: a copy of it has the same."""
    was: str = ""
    """The status of that registration, where it was DOWN or STARTING."""

    @property
    def key(self) -> InstanceKey:
        """What identifies the instance."""
        return self.drain_id, self.app, self.id


def claim_of_held(held: HeldInstance, out_at: datetime, since: datetime) -> tuple[bool, datetime, str]:
    """Order the drains that hold what was registered at ``since``, and took it out at ``out_at``: no two are equal."""
    return held.since_at > since and held.cause not in REVERSIBLE, out_at, held.drain_id


def index_keys(held: HeldInstance) -> tuple[IndexKey, ...]:
    """Return where a successor would stand, whose drain it is, and which instance."""
    return (
        ("ip", held.ip),
        ("pod", f"{held.namespace}/{held.pod}"),
        ("drain", held.drain_id),
        ("instance", held.region, held.app, held.id),
    )
