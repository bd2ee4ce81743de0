"""Replaying drains: from what the log tells to a command, and what would come of it. Pure: flows read and ask here.

A replay is a drain that a person asks for. It goes by the facts of the time when the pod died, so each fence of a drain
holds for it: what stands under the id today is left alone when it is newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from controller.domain.commands import Cause, Command, Target
from controller.domain.drain import Readings, Settled, TakeOut, guard, to_take_out, trouble_of
from controller.domain.events import FINAL, Outcome
from controller.domain.hints import Hints
from controller.domain.instances import Condition
from controller.domain.story import NO_INSTANCE, Story


class Verdict(StrEnum):
    """What a replay would do about one drain."""

    drain = "would drain"
    refuse = "refused"
    under_way = "under way"
    out = "already out of service"
    superseded = "newer process"
    """A newer process holds the id: it is left alone, and nothing is left of the old one."""
    gone = "already gone"


_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
"""A drain of several instances has the first verdict that one of them has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict and its reason."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks for it, when, and why."""

    by: str
    at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a plan. ``command`` is there when something would be sent."""

    drain_id: str
    region: str
    pod: str
    apps: tuple[str, ...]
    judged: Judged
    command: Command | None = None
    instances: tuple[tuple[str, str], ...] = ()
    """The apps and ids that would be drained."""
    letter: int | None = None
    """The dead letter that it comes from, by its place in the queue."""


def command_again(story: Story, asker: Asker) -> Command | Judged:
    """Compose the command of a drain once more, or say why that cannot be."""
    if story.facts is None or story.since_at is None:
        why = "the part of the log that was read does not hold the drain's beginning: choose a longer --since"
        return Judged(verdict=Verdict.refuse, reason=why)
    if story.cause is Cause.asked:
        return Judged(verdict=Verdict.refuse, reason="it was taken out by hand: eureka-drain drain does that again")
    if any(part.outcome is Outcome.restored for part in story.parts.values()):
        return Judged(verdict=Verdict.refuse, reason="it was put back in service: a living process holds the id")
    command = Command(
        drain_id=story.drain_id,
        cluster=story.cluster,
        region=story.region,
        cause=story.cause,
        pod=story.facts,
        observed_at=asker.at,
        since_at=story.since_at,
        end_at=story.end_at or story.since_at,
    )
    return asked(command, asker)


def asked(command: Command, asker: Asker) -> Command:
    """The command as a person asks for it: from the start, and with his name on it."""
    return replace(
        command,
        observed_at=asker.at,
        requested_by=asker.by,
        requested_at=asker.at,
        requested_why=asker.why,
        progress=None,
    )


def is_under_way(story: Story, now: datetime, give_up_after: timedelta) -> Judged | None:
    """Whether a worker has it still, so that asking again would only do it twice."""
    if story.state is not Outcome.requested or now - story.last_at > give_up_after:
        return None
    who = f"asked for by {story.requested_by}" if story.requested_by else "asked for by the watch"
    return Judged(verdict=Verdict.under_way, reason=story.reason or who)


def judge_instance(command: Command, hints: Hints, target: Target, readings: Readings) -> Judged:
    """What would come of one instance that was found to be the pod's."""
    finish = guard(target, command, hints, readings)
    if finish is not None:
        verdict = Verdict.superseded if finish.outcome is Outcome.superseded else Verdict.refuse
        return Judged(verdict=verdict, reason=finish.reason)
    if all(reading.condition is Condition.absent for reading in readings):
        return Judged(verdict=Verdict.gone, reason="no node holds it any more")
    match to_take_out(readings):
        case TakeOut():
            return Judged(verdict=Verdict.drain)
        case Settled():
            return Judged(verdict=Verdict.out)
        case _:
            return Judged(verdict=Verdict.drain, reason=f"once it can be proved: {trouble_of(readings)}")


def first_of(judged: Iterable[Judged]) -> Judged:
    """The verdict on a drain from those on its instances."""
    return min(judged, key=lambda one: _RANK[one.verdict])


def is_settled(story: Story | None, instances: Iterable[tuple[str, str]]) -> bool:
    """Whether everything that was sent has come to an outcome; ``story`` holds what was told since."""
    if story is None:
        return False
    whole = story.parts.get(NO_INSTANCE)
    if whole is not None and whole.outcome in FINAL:
        return True
    wanted = [story.parts.get(key) for key in instances] or list(story.parts.values())
    return bool(wanted) and all(part is not None and part.outcome is not Outcome.requested for part in wanted)


GOOD_ENDS = frozenset(Outcome) - {Outcome.requested, Outcome.refused, Outcome.failed}
GOOD_VERDICTS = frozenset({Verdict.out, Verdict.gone, Verdict.superseded})
