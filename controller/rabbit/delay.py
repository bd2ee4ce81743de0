"""Any delay with a fixed number of queues: one queue for each bit of the delay, each with one uniform TTL.

A message enters at the highest level. Its routing key says bit by bit whether it waits there (2^level seconds) or
passes straight to the next level; after level 0 the key's last word is its region. One TTL for a whole queue means that
no message waits behind a longer one. The idea is that of the delay infrastructure of NServiceBus' RabbitMQ transport.
"""

from __future__ import annotations

import math
from datetime import timedelta

LEVELS = 13
MAX_SECONDS = (1 << LEVELS) - 1
"""2 h 16 min. Whatever waits for longer comes by a worker and is sent round again."""


def whole_seconds(delay: timedelta) -> int:
    """Round up, at least one second and at most the longest delay that the queues can add up to."""
    return max(1, min(math.ceil(delay.total_seconds()), MAX_SECONDS))


def routing_key(seconds: int, region: str) -> str:
    """Return the way through the delay queues: one word a level, the highest first, then the region."""
    return ".".join([*f"{seconds:0{LEVELS}b}", region])


def entry_level(seconds: int) -> int:
    """Return the highest level at which the message waits: levels above it need not be passed."""
    return seconds.bit_length() - 1


def binding(level: int, *, waits: bool) -> str:
    """Return the pattern for messages that wait at this level, or pass it."""
    above = ["*"] * (LEVELS - 1 - level)
    return ".".join([*above, "1" if waits else "0", "#"])
