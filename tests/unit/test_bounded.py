"""Maps that keep their newest entries only."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.bounded_map import BoundedMap


def test_the_entry_that_was_set_longest_ago_makes_room() -> None:
    kept: BoundedMap[str, int] = BoundedMap(2)
    assert kept.put("a", 1) == []
    kept["b"] = 2
    kept["a"] = 3
    assert kept.put("c", 4) == [2]
    assert dict(kept) == {"a": 3, "c": 4}


@given(st.lists(st.integers(0, 20)), st.integers(1, 8))
def test_it_holds_the_newest_entries_and_never_more(keys: list[int], limit: int) -> None:
    kept: BoundedMap[int, int] = BoundedMap(limit)
    for number, key in enumerate(keys):
        kept[key] = number
        assert len(kept) <= limit
    newest = list(dict.fromkeys(reversed(keys)))[:limit]
    assert list(kept) == newest[::-1]
