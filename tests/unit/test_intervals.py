"""When to read again."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.commands import CACHE_TIMEOUT
from controller.domain.intervals import next_find_in, retry_delay
from controller.rabbit.delay import whole_seconds
from tests.unit.building import NOON

SECOND = timedelta(seconds=1)


@given(st.integers(1, 10**9), st.integers(1, 3600))
def test_a_backoff_is_never_below_a_second_nor_above_the_longest(attempt: int, longest: int) -> None:
    assert SECOND <= retry_delay(attempt, timedelta(seconds=longest)) <= timedelta(seconds=longest)


def test_a_backoff_doubles_up_to_the_longest() -> None:
    waits = [retry_delay(attempt, timedelta(seconds=15)).total_seconds() for attempt in range(1, 7)]
    assert waits == [1, 2, 4, 8, 15, 15]


@given(st.lists(st.floats(0, 5), min_size=60, max_size=60))
def test_looking_ends_after_the_servers_cache_has_been_outwaited(lateness: list[float]) -> None:
    # Every look happens when the ladder lets it (whole seconds), and then some seconds late.
    now, looks = NOON, 0
    for late in lateness:
        wait = next_find_in(NOON, now, NOON + CACHE_TIMEOUT)
        if wait is None:
            break
        assert timedelta(0) < wait <= CACHE_TIMEOUT
        now += timedelta(seconds=whole_seconds(wait) + late)
        looks += 1
    assert next_find_in(NOON, now, NOON + CACHE_TIMEOUT) is None
    assert now - NOON >= CACHE_TIMEOUT
    assert 1 <= looks <= 40


def test_a_young_instance_is_looked_for_often_in_its_first_ten_seconds() -> None:
    now, looks = NOON, []
    while (wait := next_find_in(NOON, now, NOON + CACHE_TIMEOUT)) is not None:
        now += timedelta(seconds=whole_seconds(wait))
        looks.append((now - NOON).total_seconds())
    assert [look for look in looks if look <= 10] == [1, 2, 3, 5, 7, 10]
    assert max(later - earlier for earlier, later in pairwise(looks)) <= 5
    assert looks[-1] == 35


def test_a_pod_that_may_still_register_is_looked_for_until_it_cannot() -> None:
    until, now, looks = NOON + timedelta(seconds=165), NOON, []
    while (wait := next_find_in(NOON, now, until)) is not None:
        now += timedelta(seconds=whole_seconds(wait))
        looks.append((now - NOON).total_seconds())
    assert max(later - earlier for earlier, later in pairwise(looks)) <= 10
    assert looks[-1] == 165
