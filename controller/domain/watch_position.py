"""How far a watch has come: everything up to there is in the broker's hands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One watch's, of one cluster. Whoever watches next asks the API server what was removed since."""

    cluster: str
    at: datetime
    versions: dict[str, str]
    """By scope (a namespace, or empty for all): the resourceVersion."""
