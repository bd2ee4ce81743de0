"""A rollout as a picture: one lane for each pod that went, in time. The template draws it as SVG. Pure.

Places are per cent of the width, so that the picture fits any screen and its text keeps its size. The line is linear:
what matters is how long each pod served, against how long its callers needed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.arrivals import Arrival
from controller.domain.drain_record import DrainRecord
from controller.domain.rollouts import Rollout, began_at_of, deciding_drain
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict, shutdown_of
from controller.ops.tables import duration_text

MARGIN = 2.0
WIDTH = 96.0
ROW = 38
TOP = 24
ARRIVALS_ROW = 18
MAX_LANES = 60
"""Of more pods, those that were not graceful and the first others are drawn; the counts are of all."""
MAX_ARRIVALS = 60
"""Instances that came up, the first ones."""
MAX_TICKS = 6
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
"""Seconds between two labels of the scale."""
MAX_TREND = 8
"""The newest rollouts of a workload that its trend shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One pod: where its bars begin and end, per cent from the left, and its row, pixels from the top."""

    number: int
    """Its line in the table below the picture."""
    record: DrainRecord
    """Of its drains, a region each, the one that decides."""
    shutdown: Shutdown
    ended_at: datetime | None
    label: str
    """Its pod's name, without its workload's where it begins with that."""
    y: int
    begin: float
    end: float
    """Where it ended serving; so far, while it is there."""
    is_there: bool
    out: float | None
    """Where no Eureka node gave it to callers any more."""
    safe: float | None
    """Where the last caller had forgotten it."""

    @property
    def lacks(self) -> bool:
        """Whether it ended while callers may still have used it."""
        return self.shutdown.verdict is ShutdownVerdict.not_graceful and self.safe is not None and self.safe > self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An instance that came up meanwhile, and where that stands, per cent from the left."""

    id: str
    up_at: datetime
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPicture:
    """A rollout's lanes, the scale, and the height in pixels."""

    rollout: Rollout
    lanes: list[Lane]
    arrivals: list[Arrived]
    ticks: list[tuple[float, str]]
    height: int
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One workload's newest rollouts, the oldest first."""

    name: str
    rollouts: Sequence[Rollout]


def rollout_picture(
    rollout: Rollout, now: datetime, arrivals: Sequence[tuple[datetime, Arrival]] = ()
) -> RolloutPicture:
    """Lay a rollout's pods out, as they began to go, and above them what came up meanwhile."""
    began_at = rollout.began_at
    pods = [(deciding_drain(drains), _ended_at(drains)) for drains in rollout.drains_by_pod.values()]
    shown = _shown(pods)
    ends = [*(_until(record, ended_at, now) for record, ended_at in pods), *(up_at for up_at, _ in arrivals)]
    longest = max(ends, default=began_at) - began_at
    length = max(longest.total_seconds(), 1.0)

    def place(at: datetime | None) -> float | None:
        return None if at is None else _x((at - began_at).total_seconds(), length)

    top = TOP + (ARRIVALS_ROW if arrivals else 0)
    lanes = []
    for number, (record, ended_at) in enumerate(shown, 1):
        begin = place(began_at_of(record))
        end = place(ended_at or now)
        assert begin is not None
        assert end is not None
        lanes.append(
            Lane(
                number=number,
                record=record,
                shutdown=shutdown_of(record),
                ended_at=ended_at,
                label=record.pod.removeprefix(f"{rollout.workload}-") or record.pod,
                y=top + (number - 1) * ROW,
                begin=begin,
                end=max(begin, end),
                is_there=ended_at is None,
                out=place(record.out_at),
                safe=place(record.safe_at),
            )
        )
    arrived = []
    for up_at, one in arrivals[:MAX_ARRIVALS]:
        x = place(up_at)
        assert x is not None
        arrived.append(Arrived(id=one.id, up_at=up_at, x=x))
    return RolloutPicture(
        rollout=rollout,
        lanes=lanes,
        arrivals=arrived,
        ticks=_ticks(length),
        height=top + len(lanes) * ROW + 4,
        left_out=len(pods) - len(shown),
    )


def trends_of(rollouts: Iterable[Rollout]) -> list[Trend]:
    """Gather the rollouts of each workload that has several, in the order of the newest."""
    found: dict[str, list[Rollout]] = {}
    for one in rollouts:
        every = found[one.name] = found.pop(one.name, [])  # the newest last
        every.append(one)
    return [Trend(name=name, rollouts=every[-MAX_TREND:]) for name, every in reversed(found.items()) if len(every) > 1]


def _shown(pods: Sequence[tuple[DrainRecord, datetime | None]]) -> list[tuple[DrainRecord, datetime | None]]:
    if len(pods) <= MAX_LANES:
        return list(pods)
    worst_first = sorted(pods, key=lambda one: shutdown_of(one[0]).verdict is not ShutdownVerdict.not_graceful)
    chosen = {id(record) for record, _ in worst_first[:MAX_LANES]}
    return [one for one in pods if id(one[0]) in chosen]


def _ended_at(drains: Sequence[DrainRecord]) -> datetime | None:
    return next((one.end.ended_at for one in drains if one.end is not None and one.end.ended_at is not None), None)


def _until(record: DrainRecord, ended_at: datetime | None, now: datetime) -> datetime:
    """Return until when there is something to draw of a pod."""
    return max(ended_at or min(now, record.safe_at or now), record.safe_at or record.began_at, record.began_at)


def _ticks(length: float) -> list[tuple[float, str]]:
    step = next((one for one in STEPS if length / one <= MAX_TICKS), STEPS[-1])
    count = min(int(length // step), MAX_TICKS)
    return [(_x(number * step, length), duration_text(timedelta(seconds=number * step))) for number in range(count + 1)]


def _x(seconds: float, length: float) -> float:
    return round(MARGIN + WIDTH * min(max(0.0, seconds), length) / length, 2)
