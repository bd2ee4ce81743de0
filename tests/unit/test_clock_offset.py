"""How far a node's clock is ahead of ours, by a header with whole seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.clock_offset import ClockOffset
from controller.domain.diagnostics import read_http_date
from tests.unit.building import NOON, at


def shown(ahead: float, asked_at: float = 0, took: float = 0.02) -> datetime | None:
    """What the header says when the node writes it halfway."""
    written_at = at(asked_at + took / 2) + timedelta(seconds=ahead)
    return read_http_date(format_datetime(written_at.replace(microsecond=0), usegmt=True))


def measure(clock: ClockOffset, ahead: float, asked_at: float = 0, took: float = 0.02) -> float:
    clock.measure(shown(ahead, asked_at, took), at(asked_at), at(asked_at + took))
    return clock.ahead.total_seconds()


@pytest.mark.parametrize("ahead", [0, 0.9, 1.4, -0.9, -1.4])
@pytest.mark.parametrize("asked_at", [0, 0.3, 0.99])
def test_hardly_any_difference_is_none(ahead: float, asked_at: float) -> None:
    assert measure(ClockOffset(), ahead, asked_at) == 0


@pytest.mark.parametrize("ahead", [90, -90, 3, -3, 3600])
@pytest.mark.parametrize("asked_at", [0, 0.3, 0.99])
def test_a_difference_is_measured_to_the_second(ahead: float, asked_at: float) -> None:
    assert abs(measure(ClockOffset(), ahead, asked_at) - ahead) <= 1


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0.001, 1)), min_size=1, max_size=20))
def test_a_steady_clock_has_one_estimate(looks: list[tuple[float, float]]) -> None:
    clock = ClockOffset()
    assert len({measure(clock, 90, asked_at, took) for asked_at, took in looks}) == 1


def test_a_clock_that_was_set_right_is_seen() -> None:
    clock = ClockOffset()
    assert measure(clock, 90) == 90
    assert measure(clock, 0) == 0


@pytest.mark.parametrize("text", ["", "noon", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -1400", "0"])
def test_nonsense_in_the_header_is_no_clock(text: str) -> None:
    clock = ClockOffset()
    clock.measure(read_http_date(text), NOON, NOON)
    assert clock.ahead == timedelta(0)


def test_an_answer_that_took_long_or_came_too_early_is_no_measure() -> None:
    clock = ClockOffset()
    assert measure(clock, 90, took=5) == 0
    assert measure(clock, 90, took=-3) == 0
