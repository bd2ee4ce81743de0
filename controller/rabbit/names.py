"""What things are called on the broker. Fixed by contract: scripts and dashboards rely on it."""

from __future__ import annotations

COMMANDS = "drain.commands"
UNROUTED = "drain.unrouted"
DEAD = "drain.dead"
EVENTS = "drain.events"
POSITIONS = "drain.positions"
ENDS = "drain.ends"
DELAY = "drain.delay"
DELAY_OUT = f"{DELAY}.out"


def commands_queue(region: str) -> str:
    """Return the region's work."""
    return f"{COMMANDS}.{region}"


def dead_queue(region: str) -> str:
    """Return what was given up in the region."""
    return f"{DEAD}.{region}"


def dead_lock(region: str) -> str:
    """Return what is locked by who looks at the region's dead letters. No region's name has a dot."""
    return f"{dead_queue(region)}.lock"


def delay_level(level: int) -> str:
    """Return the exchange, and the queue, of one bit of a delay."""
    return f"{DELAY}.{level:02}"
