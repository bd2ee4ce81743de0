"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.domain.durations import MAX_DURATION, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("1.5h", 5400),
        (" 5m ", 300),
        ("0s", 0),
    ],
)
def test_a_number_and_a_unit_is_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "-5m",
        "5 m",
        "5M",
        "5min",
        "1h30m",
        "5m\x005m",
        "1e3s",
        ".5s",
        "5.s",
        "٥m",
        "366d",
        "9" * 30 + "s",
        "nan",
        "5w",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@given(st.text(max_size=30) | st.from_regex(r"\d{1,12}(\.\d{1,8})?(ms|s|m|h|d)", fullmatch=True))
def test_any_text_is_a_bounded_duration_or_a_value_error(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= MAX_DURATION


@given(st.integers(0, 99_999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_what_is_read_is_written_and_read_back_as_the_same(number: int, unit: str) -> None:
    assume(unit != "d" or number <= MAX_DURATION.days)
    assume(unit != "h" or number <= MAX_DURATION.days * 24)
    duration = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5m"), (90, "90s"), (86_400, "1d"), (0.25, "250ms"), (0, "0s"), (5400, "90m")]
)
def test_the_largest_unit_that_divides_is_written(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text
