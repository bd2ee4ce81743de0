"""A drain's timeline as a picture: how far along a line each moment lies. The template draws it as SVG.

The first second matters as much as the five minutes after it, so the line is logarithmic. Each moment has a row of its
own, and places are per cent of the width: at any width nothing overlaps, and the text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from controller.domain.timeline import Moment
from controller.ops.tables import duration_text

MIN_SECONDS = 0.01
"""Seconds that are distinguished."""
TICKS = (0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)
MARGIN = 3.0
WIDTH = 94.0
ROW = 26
TOP = 24
MAX_ROWS = 40
"""Of more, the first half and the last are drawn; the table has all."""
MIN_TICK_DISTANCE = 9.0
"""Per cent between two labels of the scale, so that they stay apart on a phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One moment: where it lies, per cent from the left; its row, pixels from the top; its line in the table."""

    x: float
    y: int
    from_x: float
    """Where the moment before lies: between the two, time went by."""
    number: int
    moment: Moment

    @property
    def is_left(self) -> bool:
        """Whether there is more room for text on its right."""
        return self.x < 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Points, the scale's ticks, and the height in pixels."""

    points: list[Point]
    ticks: list[tuple[float, str]]
    height: int
    left_out: int


def picture(moments: Sequence[Moment]) -> Picture | None:
    """Lay the moments out; None when it is not known when the pod began to go."""
    dated = [(number, one, one.after) for number, one in enumerate(moments, 1) if one.after is not None]
    if not dated:
        return None
    drawn = dated if len(dated) <= MAX_ROWS else dated[: MAX_ROWS // 2] + dated[-MAX_ROWS // 2 :]
    longest = max(max(after.total_seconds() for _, _, after in drawn), 1.0)
    points: list[Point] = []
    for row, (number, moment, after) in enumerate(drawn):
        x = _x(after.total_seconds(), longest)
        from_x = points[-1].x if points else x
        points.append(Point(x=x, y=TOP + row * ROW + ROW // 2, from_x=from_x, number=number, moment=moment))
    return Picture(
        points=points,
        ticks=_ticks(longest),
        height=TOP + len(points) * ROW + 4,
        left_out=len(dated) - len(drawn),
    )


def _ticks(longest: float) -> list[tuple[float, str]]:
    ticks = [(MARGIN, "0")]
    for tick in TICKS:
        x = _x(tick, longest)
        if tick <= longest and x - ticks[-1][0] >= MIN_TICK_DISTANCE:
            ticks.append((x, duration_text(timedelta(seconds=tick))))
    return ticks


def _x(seconds: float, longest: float) -> float:
    scale = math.log(1 + longest / MIN_SECONDS)
    return round(MARGIN + WIDTH * math.log(1 + max(0.0, seconds) / MIN_SECONDS) / scale, 2)
