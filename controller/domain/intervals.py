"""When to look again. Delays are whole seconds at the least one: they travel through the broker's delay queues."""

from __future__ import annotations

from datetime import datetime, timedelta

FIND_INTERVALS = tuple(timedelta(seconds=after) for after in (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 35))
"""After the first look. Clients are served from the same cache: we see a young instance when they begin to, so look
often enough to be well ahead of their next fetch (30 s)."""

FIND_INTERVAL = timedelta(seconds=10)
"""How often after that, while the pod may still register: it may have been deleted while it starts."""

FIND_MORE_INTERVAL = timedelta(seconds=16)
"""How often for further instances of a pod of which one was found: hardly less often than the index is new, and a power
of two, which is a single one of the delay queues."""

REPLICATION_INTERVAL = timedelta(seconds=3)
"""How long after a DELETE replication may still bring the instance back: measured below 1 s between two nodes."""

REPLICATION_TIMEOUT = timedelta(seconds=45)
"""After so long no node passes on any more what another one has missed: after 30 s it is dropped."""

UNNAMED_ID_INTERVAL = timedelta(seconds=3)
"""How often an id is looked at that names neither its pod nor an address: any pod may take it over, and our override
with it, and nobody can know which one."""

TAKEOVER_INTERVAL = timedelta(seconds=2)
"""How long until a newer process that holds a drained id is looked at again."""

HEARTBEAT_CHECK_INTERVAL = timedelta(seconds=10)
"""How often a drained process is looked at that may still be alive: a node that restarts forgets our override, and the
process registers again."""

WATCHED_INTERVAL = timedelta(minutes=2)
"""How often what is silent is looked at while the region's lookout tells when there is something to be seen."""

FIRST_HEARTBEAT_CHECK_INTERVAL = timedelta(seconds=5)
"""The same, for the first time: what was under way when the drain began has settled by then."""


def retry_delay(attempt: int, longest: timedelta) -> timedelta:
    """How long to wait after this attempt (1 for the first): 1, 2, 4 … seconds, at most ``longest``."""
    return min(timedelta(seconds=2 ** min(attempt - 1, 16)), longest)


def next_find_in(first_look_at: datetime, now: datetime, until: datetime) -> timedelta | None:
    """How long until the index is asked again for what it does not show yet; None when it was asked long enough."""
    if now >= until:
        return None
    waited = now - first_look_at
    wait = next(
        (look - waited for look in FIND_INTERVALS if look > waited + timedelta(milliseconds=500)), FIND_INTERVAL
    )
    return max(min(wait, until - now), timedelta(seconds=1))
