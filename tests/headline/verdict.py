"""From what happened to figures, and to a sentence for each thing that is wrong. Pure.

Every call counts that began between the first restart of all and the end of the last round, whichever instance it went
to. Staleness is how long after the moment from which no node said UP of an old instance its caller still sent calls
there, answered or not; 0 where none came after it. That moment is noted up to a reading's interval late, so that the
truth is longer by as much.

What is wrong: a drained variant lost a call, an old instance of it was not OUT_OF_SERVICE everywhere before SIGTERM, a
rollout did not end, or a caller made far fewer calls than it should have. What the others lose is a figure, no fault.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from tests.headline.calls import Call, Kind
from tests.headline.record import Leaving, Rollout
from tests.headline.variants import PER_SECOND, Variant

COPIED_SLEEP_SECONDS = 30
"""What people copy."""
LEAST_SHARE_OF_CALLS = 0.95
"""Of those that were due; fewer, and the caller itself was held up."""


@dataclass(frozen=True)
class Spread:
    """Least, middle and most of some figures, in their unit."""

    count: int
    least: float = math.nan
    middle: float = math.nan
    most: float = math.nan

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Of none: not a number."""
        return cls(len(figures), min(figures), median(figures), max(figures)) if figures else cls(0)


@dataclass(frozen=True)
class Figures:
    """One variant's column; seconds, and numbers of calls, rollouts and instances."""

    variant: Variant
    rollouts: int
    calls: int
    lost: Mapping[Kind, int]
    lost_in_one: Spread
    """From its restart to the next one."""
    took: Spread
    stale: Spread
    beyond_the_copied_sleep: int
    slowest: float
    """Of the answered calls."""
    problems: tuple[str, ...]

    @property
    def all_lost(self) -> int:
        return sum(self.lost.values())

    @property
    def share_lost(self) -> float:
        return self.all_lost / self.calls if self.calls else math.nan


def judge(
    variant: Variant,
    rollouts: Sequence[Rollout],
    calls: Sequence[Call],
    nodes: Sequence[str],
    begin: datetime,
    end: datetime,
) -> Figures:
    """Of one variant: its rollouts, its caller's calls, its region's nodes."""
    counted = [call for call in calls if milliseconds(begin) <= call.begun <= milliseconds(end)]
    lost = dict(Counter(kind for call in counted if (kind := call.lost)))
    lost_in_one = [sum(1 for call in part if call.lost) for part in _by_rollout(rollouts, counted)]
    last = last_calls(calls)
    instances = [one for rollout in rollouts for one in rollout.leaving]
    stale = [seconds for one in instances if (seconds := staleness(one, last, nodes)) is not None]
    took = [(rollout.gone_at - rollout.asked_at).total_seconds() for rollout in rollouts if rollout.gone_at]
    return Figures(
        variant=variant,
        rollouts=len(rollouts),
        calls=len(counted),
        lost=lost,
        lost_in_one=Spread.of(lost_in_one),
        took=Spread.of(took),
        stale=Spread.of(stale),
        beyond_the_copied_sleep=sum(seconds > COPIED_SLEEP_SECONDS for seconds in stale),
        slowest=max((call.took for call in counted if not call.lost), default=0) / 1000,
        problems=tuple(_problems(variant, rollouts, counted, lost, nodes, (end - begin).total_seconds())),
    )


def _by_rollout(rollouts: Sequence[Rollout], calls: Sequence[Call]) -> list[list[Call]]:
    """The calls that began between one restart and the next."""
    begun = [milliseconds(rollout.asked_at) for rollout in rollouts]
    parts: list[list[Call]] = [[] for _ in rollouts]
    for call in calls:
        # None of its own: another variant was restarted first.
        if (number := bisect(begun, call.begun)) > 0:
            parts[number - 1].append(call)
    return parts


def last_calls(calls: Sequence[Call]) -> dict[str, int]:
    """By instance: when its last call began, milliseconds since 1970."""
    last: dict[str, int] = {}
    for call in calls:
        last[call.instance] = max(call.begun, last.get(call.instance, 0))
    return last


def staleness(one: Leaving, last: Mapping[str, int], nodes: Sequence[str]) -> float | None:
    """Seconds; None where a node says UP still, or the instance was never called."""
    unlisted_at = one.unlisted_at(nodes)
    if unlisted_at is None or one.id not in last:
        return None
    return max(0.0, (last[one.id] - milliseconds(unlisted_at)) / 1000)


def milliseconds(at: datetime) -> float:
    """Since 1970."""
    return 1000 * at.timestamp()


def _problems(
    variant: Variant,
    rollouts: Sequence[Rollout],
    counted: Sequence[Call],
    lost: Mapping[Kind, int],
    nodes: Sequence[str],
    seconds: float,
) -> Iterator[str]:
    for rollout in rollouts:
        if rollout.gone_at is None:
            yield f"{variant.key}, round {rollout.number}: the old pods were not all gone"
        if variant.drained:
            for one in rollout.leaving:
                if fault := _fault(one, nodes):
                    yield f"{variant.key}, round {rollout.number}: {one.id} {fault}"
    if variant.drained and lost:
        kinds = ", ".join(f"{number} {kind}" for kind, number in lost.items())
        yield f"{variant.key}: {sum(lost.values())} of {len(counted)} calls were lost: {kinds}"
    due = seconds * PER_SECOND
    if len(counted) < LEAST_SHARE_OF_CALLS * due:
        yield f"{variant.key}: its caller made only {len(counted)} of {due:.0f} calls"


def _fault(one: Leaving, nodes: Sequence[str]) -> str | None:
    """Of an instance that the controller was to take out."""
    shown_out = [any(status == "OUT_OF_SERVICE" for _, status in one.shown.get(node, [])) for node in nodes]
    unlisted_at = one.unlisted_at(nodes)
    if not all(shown_out) or unlisted_at is None:
        return "was not seen OUT_OF_SERVICE at every node"
    if one.sigterm_at is not None and one.sigterm_at < unlisted_at:
        return "got its SIGTERM before it was OUT_OF_SERVICE at every node"
    return None
