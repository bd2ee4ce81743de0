"""Durations as people write them: ``500ms``, ``30s``, ``5m``, ``2h``, ``30d``; and how long it was between times."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
MAX_DURATION = timedelta(days=365)
SAME_MOMENT = timedelta(seconds=1)
"""By less than this, clocks of machines that are set by NTP may put what came later before what came first."""


def parse_duration(text: str) -> timedelta:
    """Read one number and its unit; ValueError says what is wrong.

    >>> parse_duration("5m")
    datetime.timedelta(seconds=300)
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a duration; write a number and a unit: 500ms, 30s, 5m, 2h, 30d")
    duration = timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    if duration > MAX_DURATION:
        raise ValueError(f"{text[:40]!r} is longer than {MAX_DURATION.days} days")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration with the largest unit that divides it.

    >>> format_duration(timedelta(seconds=300))
    '5m'
    """
    milliseconds = round(duration.total_seconds() * 1000)
    for unit in ("d", "h", "m", "s"):
        size = round(_UNITS[unit] * 1000)
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def elapsed(since: datetime, until: datetime) -> timedelta | None:
    """Return how long it was between two times, as exactly as they are known; None when the second came first.

    Kubernetes gives whole seconds, cut off, and is compared with in whole seconds.

    >>> noon = datetime(2025, 6, 1, 12)
    >>> elapsed(noon.replace(microsecond=470_000), noon)
    datetime.timedelta(0)
    """
    if not (since.microsecond and until.microsecond):
        since, until = since.replace(microsecond=0), until.replace(microsecond=0)
    lasted = until - since
    return max(lasted, timedelta(0)) if lasted > -SAME_MOMENT else None
