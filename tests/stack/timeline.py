"""What happened to a pod and when, as its node saw it: what tests compare with what the registry saw."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass
class Timeline:
    """Aware UTC times; None for what has not happened. With several containers: the first start, the last end."""

    uid: str
    namespace: str
    name: str
    created: datetime
    ip: str | None = None
    started: datetime | None = None
    ready: datetime | None = None
    deletion_seen: datetime | None = None
    pre_stop_started: datetime | None = None
    pre_stop_ended: datetime | None = None
    pre_stop_failure: str | None = None
    sigterm_at: datetime | None = None
    sigkill_at: datetime | None = None
    exited_at: datetime | None = None
    deleted_at: datetime | None = None

    @classmethod
    def of(cls, pod: dict[str, Any]) -> "Timeline":
        """An empty one for a pod just met."""
        metadata = pod["metadata"]
        created = datetime.fromisoformat(metadata["creationTimestamp"])
        return cls(metadata["uid"], metadata["namespace"], metadata["name"], created)

    def mark_first(self, what: str) -> None:
        """Note the time unless it is noted."""
        if getattr(self, what) is None:
            setattr(self, what, now())

    def mark_last(self, what: str) -> None:
        """Note the time, replacing an earlier one."""
        setattr(self, what, now())


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)
