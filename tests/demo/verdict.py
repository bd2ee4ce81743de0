"""Is all well? Pure: from the record of what was seen to numbers, and to a sentence for each thing that is wrong.

An old instance does well when, at every node, it was UP until its pod's deletion, then OUT_OF_SERVICE at the latest one
second after its process's SIGTERM, never UP again, and gone for good in the end. If its app is silent, it must be gone
sooner than its lease could have ended by itself: then somebody deleted it. A new one must never show anything but
STARTING and UP, and end UP at every node.

Trap: under the override a dying client that says DOWN is shown as DOWN; that serves nobody, so it is no fault.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.demo.record import ABSENT, GONE, OUT_OF_SERVICE, Instance, Record

SIGTERM_ALLOWANCE = 1.0
"""Seconds after SIGTERM within which OUT_OF_SERVICE still counts as before it."""
WELCOME = frozenset({"STARTING", "UP"})


@dataclass(frozen=True)
class Verdict:
    """Counts are of instances; `latencies` are seconds from deletion to OUT_OF_SERVICE at every node, sorted."""

    old: int
    drained: int
    in_time: int
    silent: int
    """Of the old ones: those whose app ends without a word."""
    deleted: int
    """Of these: gone from every node."""
    deregistered: int
    """Of the others: gone from every node."""
    latencies: tuple[float, ...]
    narrowest: float | None
    """Seconds from OUT_OF_SERVICE at every node to SIGTERM where that was least; negative: too late."""
    new: int
    disturbed: int
    left: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.problems


def judge(record: Record, expected: Mapping[str, int], *, lease_seconds: float) -> Verdict:
    """`expected` is how many old and as many new instances each app should have."""
    nodes = record.nodes
    old, new = record.old, record.new
    drained = {one.uid: at for one in old if (at := out_of_service_at(one, nodes)) is not None}
    margins = [_seconds(drained[one.uid], one.sigterm_at) for one in old if one.uid in drained and one.sigterm_at]
    gone = [one for one in old if is_gone(one, nodes)]
    latencies = [one.since_deletion(drained[one.uid]) for one in old if one.uid in drained]
    problems = [f"{one.id} {where}: {what}" for one in old for where, what in _faults_of_old(one, nodes, lease_seconds)]
    problems += [f"{one.id} {where}: {what}" for one in new for where, what in _faults_of_new(one, nodes)]
    problems += list(_wrong_counts(old, new, expected))
    return Verdict(
        old=len(old),
        drained=len(drained),
        in_time=sum(margin >= -SIGTERM_ALLOWANCE for margin in margins),
        silent=sum(one.silent for one in old),
        deleted=sum(one.silent for one in gone),
        deregistered=sum(not one.silent for one in gone),
        # The watch and the readings race by milliseconds: before the deletion's notice is at once, not earlier.
        latencies=tuple(sorted(max(0.0, seconds) for seconds in latencies if seconds is not None)),
        narrowest=min(margins, default=None),
        new=len(new),
        disturbed=sum(bool(_shown(one, nodes) - WELCOME) for one in new),
        left=tuple(one.id for one in old if one not in gone),
        problems=tuple(problems),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed: for few values p99 is the largest."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def out_of_service_at(one: Instance, nodes: Sequence[str]) -> datetime | None:
    """When the last node showed it; None if one never did."""
    times = [one.first(node, OUT_OF_SERVICE) for node in nodes]
    known = [at for at in times if at is not None]
    return max(known) if len(known) == len(times) else None


def is_gone(one: Instance, nodes: Sequence[str]) -> bool:
    """From every node, and it was there."""
    return all(one.status(node) == GONE for node in nodes)


def _faults_of_old(one: Instance, nodes: Sequence[str], lease_seconds: float) -> Iterator[tuple[str, str]]:
    for node in nodes:
        statuses = [change.status for change in one.changes.get(node, [])]
        out_at = one.first(node, OUT_OF_SERVICE)
        if out_at is None:
            yield (
                f"at {node}",
                f"never seen OUT_OF_SERVICE (it showed {', '.join(status or GONE for status in statuses)})",
            )
        else:
            if one.deleted_at is None or _seconds(out_at, one.deleted_at) > 1:
                yield f"at {node}", "OUT_OF_SERVICE before its pod was deleted"
            if one.sigterm_at and (late := _seconds(one.sigterm_at, out_at)) > SIGTERM_ALLOWANCE:
                yield f"at {node}", f"OUT_OF_SERVICE only {late:.1f} s after its process's SIGTERM"
            if "UP" in statuses[statuses.index(OUT_OF_SERVICE) :]:
                yield f"at {node}", "UP again after OUT_OF_SERVICE: callers were sent to a pod on its way out"
        gone_at = one.last_gone(node)
        if gone_at is None:
            yield f"at {node}", f"still registered, {one.status(node)}"
        elif one.silent and one.exited_at and (after := _seconds(one.exited_at, gone_at)) > lease_seconds:
            yield f"at {node}", f"gone only {after:.0f} s after its process ended: that may have been its lease's end"
    if one.sigterm_at is None:
        yield "in its pod", "no SIGTERM seen"


def _faults_of_new(one: Instance, nodes: Sequence[str]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if strange := _shown(one, [node]) - WELCOME:
            yield f"at {node}", f"a new instance that showed {', '.join(sorted(strange))}"
        if one.status(node) != "UP":
            last = "not registered" if one.status(node) == ABSENT else one.status(node)
            yield f"at {node}", f"a new instance that is not UP in the end but {last}"


def _wrong_counts(old: Sequence[Instance], new: Sequence[Instance], expected: Mapping[str, int]) -> Iterator[str]:
    for app, count in expected.items():
        for kind, instances in (("old", old), ("new", new)):
            found = sum(one.app == app for one in instances)
            if found != count:
                yield f"{app}: {found} {kind} instances where there should be {count}"


def _shown(one: Instance, nodes: Sequence[str]) -> set[str]:
    return {change.status or GONE for node in nodes for change in one.changes.get(node, [])}


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()
