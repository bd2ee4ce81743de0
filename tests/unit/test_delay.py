"""Any delay from one second to the longest, simulated as the broker's topic exchanges and queues perform it."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rabbit.delay import LEVELS, MAX_SECONDS, binding, entry_level, routing_key, whole_seconds


def matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """A topic exchange's rule: ``*`` is one word, ``#`` is any number of them."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(matches(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and matches(pattern[1:], words[1:])


@cache
def _pattern(level: int, waits: bool) -> tuple[str, ...]:
    return tuple(binding(level, waits=waits).split("."))


def journey(seconds: int, region: str) -> tuple[int, int]:
    """Send a message in where the outbox does; return how long it waited, and how many queues it passed."""
    words = tuple(routing_key(seconds, region).split("."))
    waited = stations = 0
    for level in range(entry_level(seconds), -1, -1):
        into_queue = matches(_pattern(level, True), words)
        straight_on = matches(_pattern(level, False), words)
        assert into_queue != straight_on, f"lost or doubled at level {level}"
        if into_queue:
            waited += 2**level
            stations += 1
    return waited, stations


def test_every_delay_of_whole_seconds_is_waited_exactly() -> None:
    for seconds in range(1, MAX_SECONDS + 1):
        waited, stations = journey(seconds, "eu-west-1")
        assert waited == seconds
        assert 1 <= stations <= LEVELS


@pytest.mark.parametrize("region", ["eu", "0", "1", "eu-west-1", "a" * 63])
@pytest.mark.parametrize("seconds", [1, 2, 35, 300, 4096, MAX_SECONDS])
def test_the_message_arrives_at_its_region_and_at_no_other(seconds: int, region: str) -> None:
    words = tuple(routing_key(seconds, region).split("."))
    assert words[-1] == region
    assert len(words) == 13 + 1
    assert len(".".join(words)) <= 255, "the broker's longest routing key"
    arrived = [name for name in ("eu", "0", "1", "eu-west-1", "west-1", "a" * 63) if matches(("#", name), words)]
    assert arrived == [region]
    assert journey(seconds, region)[0] == seconds


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(-5, 1), (0, 1), (0.2, 1), (1, 1), (1.001, 2), (34.5, 35), (8191, 8191), (8191.5, 8191), (10**6, 8191)],
)
def test_a_delay_is_rounded_up_and_bounded(delay: float, seconds: int) -> None:
    assert whole_seconds(timedelta(seconds=delay)) == seconds


@given(st.timedeltas(max_value=timedelta(seconds=MAX_SECONDS)))
def test_a_message_is_never_early(delay: timedelta) -> None:
    seconds = whole_seconds(delay)
    assert timedelta(seconds=seconds) >= delay
    assert 0 <= entry_level(seconds) < LEVELS
