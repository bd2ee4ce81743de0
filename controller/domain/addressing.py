"""What can be named in a URL of the registry, and what a region may be called.

Measured on a real server: an id with ``/`` is answered 400 by the servlet container, and ``.`` or ``..`` make most
clients ask for another URL. Everything else works when it is quoted as one path segment.
"""

from __future__ import annotations

import re

LONGEST_SEGMENT = 512
"""Characters; real instance ids stay below 200, a servlet container's request line ends at 8,192 bytes."""

_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def unaddressable(segment: str) -> str | None:
    """Say why this app or instance id cannot be put into a URL; None when it can.

    >>> unaddressable("10.0.0.1:orders:8080")
    >>> unaddressable("a/b")
    "contains '/', which the registry's servlet container refuses"
    """
    if not segment:
        return "is empty"
    if len(segment) > LONGEST_SEGMENT:
        return f"is longer than {LONGEST_SEGMENT} characters"
    if segment in (".", ".."):
        return f"is {segment!r}, which names another URL"
    for char in "/\\":
        if char in segment:
            return f"contains {char!r}, which the registry's servlet container refuses"
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) <= 0xDFFF for char in segment):
        return "contains a control character"
    return None


def is_region_name(name: str) -> bool:
    """True for lower-case letters, digits, inner hyphens, at most 63: it becomes part of a routing key."""
    return _REGION.fullmatch(name) is not None
