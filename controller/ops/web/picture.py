"""A drain's timeline as a picture: where on a line each moment lies. The template draws it as SVG.

The first second matters as much as the five minutes after it, so the line is logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from controller.domain.timeline import Moment
from controller.ops.tables import span

WIDTH = 1_000.0
MARGIN = 20.0
SHORTEST = 0.01
"""Seconds that are told apart."""
TICKS = (0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One moment on the line, ``x`` in units of the picture's width of 1000. ``row``: labels must not overlap."""

    x: float
    row: int
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Points and ticks."""

    points: list[Point]
    ticks: list[tuple[float, str]]
    rows: int


LABEL_WIDTH = 150.0


def picture(moments: Sequence[Moment]) -> Picture | None:
    """Lay the moments out; None when nobody knows when the pod began to go."""
    dated = [(moment, moment.after) for moment in moments if moment.after is not None]
    if not dated:
        return None
    longest = max(max(after.total_seconds() for _, after in dated), 1.0)
    ends = [-LABEL_WIDTH]
    points = []
    for moment, after in dated:
        x = _x(after.total_seconds(), longest)
        row = next((number for number, end in enumerate(ends) if end <= x), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = x + LABEL_WIDTH
        points.append(Point(x=round(x, 1), row=row, moment=moment))
    ticks = [(round(_x(tick, longest), 1), span(timedelta(seconds=tick))) for tick in TICKS if tick <= longest]
    return Picture(points=points, ticks=ticks, rows=len(ends))


def _x(seconds: float, longest: float) -> float:
    scale = math.log(1 + longest / SHORTEST)
    return MARGIN + (WIDTH - LABEL_WIDTH - MARGIN) * math.log(1 + max(0.0, seconds) / SHORTEST) / scale
