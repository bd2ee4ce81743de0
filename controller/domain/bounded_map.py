"""A map that keeps its newest entries only: whatever comes from outside is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

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


def note_newest(times: BoundedMap[Key, datetime], key: Key, at: datetime) -> None:
    """Note the newest time of each key, in whichever order they come."""
    times[key] = max(at, times.get(key, at))


class WeighedMap(Generic[Key, Value]):
    """A map of at most ``limit`` entries that together weigh at most ``max_weight``; the oldest ones make room."""

    def __init__(self, limit: int, *, max_weight: int, weigh: Callable[[Value], int]) -> None:
        self._limit = limit
        self._max_weight = max_weight
        self._weigh = weigh
        self._weight = 0
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __setitem__(self, key: Key, value: Value) -> None:
        self.pop(key)
        weight = self._weigh(value)
        self._entries[key] = (value, weight)
        self._weight += weight
        while len(self._entries) > self._limit or self._weight > self._max_weight:
            self._weight -= self._entries.popitem(last=False)[1][1]

    def get(self, key: Key) -> Value | None:
        """Return what is kept; None where nothing is."""
        found = self._entries.get(key)
        return found[0] if found is not None else None

    def pop(self, key: Key) -> Value | None:
        """Take an entry out; None where there is none."""
        found = self._entries.pop(key, None)
        if found is None:
            return None
        self._weight -= found[1]
        return found[0]
