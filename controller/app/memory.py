"""How much memory this process was given."""

from __future__ import annotations

from pathlib import Path

from controller.bounds import USUAL_MEMORY

LIMIT_FILES = ("memory.max", "memory/memory.limit_in_bytes")
"""Of the two versions of control groups."""
CGROUPS = Path("/sys/fs/cgroup")


def memory_limit(folder: Path = CGROUPS) -> int:
    """Return the container's limit, in bytes; the usual one where none is set, or none can be read."""
    for name in LIMIT_FILES:
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        # Without a limit it says "max", or a number that no machine has.
        if text.isdecimal() and 0 < int(text) < 2**50:
            return int(text)
    return USUAL_MEMORY
