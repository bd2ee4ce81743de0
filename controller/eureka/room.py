"""What all regions of one process may keep of their registries together: none may take what the others need."""

from __future__ import annotations

from controller.bounds import INDEX_ROOM


class IndexRoom:
    """Half of it is shared out evenly; the other half is for whoever needs more, as long as it lasts."""

    def __init__(self, size: int = INDEX_ROOM) -> None:
        self._size = size
        self._taken: dict[str, int] = {}

    def open(self, region: str) -> None:
        """Count a region in, before any of them is read."""
        self._taken.setdefault(region, 0)

    def left_for(self, region: str) -> int:
        """Return what this region may take in all, in bytes."""
        own = self._size // (2 * max(1, len(self._taken)))
        beyond = sum(max(0, taken - own) for name, taken in self._taken.items() if name != region)
        return own + max(0, self._size // 2 - beyond)

    def take(self, region: str, size: int) -> None:
        """Note what a region has taken, in place of what it had."""
        self._taken[region] = size
