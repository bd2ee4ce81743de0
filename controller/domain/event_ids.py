"""Which entries of the log say the same: they have the same id, and whoever reads the log takes the first of them.

Workers that hold copies of one command take the same steps, and so does one that begins anew after a crash.
"""

from __future__ import annotations

import hashlib
from datetime import datetime


def event_id(
    drain_id: str,
    app: str,
    instance_id: str,
    kind: str,
    which: str = "",
    requested_at: datetime | None = None,
    *,
    turn: int = 0,
) -> str:
    """Derive the id that every process gives to the same change of state.

    ``kind``: what came of it. ``which``: what tells it from others of its kind. ``requested_at``: when a person asked
    for it. ``turn``: how often the drain had been through with the instance before, and had found it there again.
    """
    asked = (requested_at.isoformat(),) if requested_at else ()
    again = (f"turn {turn}",) if turn else ()
    text = "\0".join((drain_id, app, instance_id, kind, which, *asked, *again))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
