"""A map that keeps its newest entries only: whatever comes from outside is bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedMap(OrderedDict[Key, Value]):
    """A dictionary of at most ``limit`` entries: the one that was set longest ago makes room for a new one."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: Key, value: Value) -> list[Value]:
        """Set the newest entry, and return what was dropped for it."""
        self.pop(key, None)
        super().__setitem__(key, value)
        return [self.popitem(last=False)[1] for _ in range(len(self) - self._limit)]

    def __setitem__(self, key: Key, value: Value) -> None:
        self.put(key, value)
