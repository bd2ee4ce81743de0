"""Whose is the id by now? The exits of a drain whose instance turns out to be somebody else's, or not the pod's alone.

Pure, as ``stages``, which asks here before anything is written.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from controller.domain.commands import LOST_NODE_TIMEOUT, Stage, Target
from controller.domain.events import Outcome
from controller.domain.instances import UP, Instance, dirty_at, disagree, overridden_at, present, trouble_of
from controller.domain.intervals import HEARTBEAT_CHECK_INTERVAL, REPLICATION_TIMEOUT, TAKEOVER_INTERVAL
from controller.domain.ownership import Foreign, Owned, TakenOver, Unsettled, address_used_again_at, is_after_end
from controller.domain.reason import Reason, ReasonCode
from controller.domain.silence import (
    is_complete,
    is_silent,
    may_note_renewals,
    note_silence,
    renewals,
    renews_after_end,
)
from controller.domain.stage_decisions import Continue, Finish, GiveBack, Observation, Obstructed, Report, StageDecision

GIVEN_BACK = Finish(
    report=Report(
        outcome=Outcome.restored,
        reason=Reason(
            code=ReasonCode.shared_id, detail="its id goes on renewing after the pod's end: other processes hold it too"
        ),
    )
)


def check_ownership(seen: Observation) -> Finish | None:
    """Before any write: end it when any node shows the id in other hands.

    One node is enough: a write at another one would be replicated to it. Unless it is a dead pod's there, too.
    """
    taken_over, instances = Outcome.superseded, present(seen.readings)
    if any(seen.may_be_its_own(one) for one in instances):
        instances = [one for one in instances if (one.ip, one.registered_at) not in seen.dead]
    for instance in instances:
        match seen.ownership(instance):
            case Unsettled() if _is_somebody_elses(seen):
                detail = "a process that registered it after the pod's end heartbeats"
                return Finish(
                    report=Report(outcome=taken_over, reason=Reason(code=ReasonCode.taken_over, detail=detail))
                )
            case TakenOver(reason=reason):
                return Finish(report=Report(outcome=taken_over, reason=reason))
            case Foreign(reason=reason):
                # Once it was proved to be the pod's, other hands are newer ones.
                outcome = Outcome.refused if seen.target.stage is Stage.take_out else taken_over
                return Finish(report=Report(outcome=outcome, reason=reason))
            case Owned() | Unsettled():
                pass
    return None


def _is_somebody_elses(seen: Observation) -> bool:
    """Return whether its heartbeats cannot be the pod's: one that was removed by force, or lost, may run on a while."""
    command = seen.command
    may_run = command.gone_at is not None and not command.end_proved and seen.now < command.gone_at + LOST_NODE_TIMEOUT
    return _renews_since_its_heir(seen) if may_run else _renews_after_end(seen)


def leave_to_successor(seen: Observation, other_hands: Finish) -> StageDecision:
    """Leave the id to whoever holds it now, without the override that we set on it: our override sticks to it.

    Under an override a process that says STARTING or DOWN shows as such: OUT_OF_SERVICE means that it has said UP. One
    that falls silent before it does is left with its last word.
    While any node still shows the old process, lifting the override would put that one back in service there, and what
    serves there already would be left to callers: a newer process that lives makes itself known to that node, too.
    """
    target, instances = seen.target, present(seen.readings)
    if other_hands.report.outcome is Outcome.refused or seen.drained_anew:
        return other_hands
    overridden = [instance for instance in instances if instance.has_override]
    # What a dead process said last does not change any more, and is no word of those that live under a shared id.
    heard = [one for one in overridden if not (target.shared_id and seen.is_its_own(one))]
    words = [one.status for one in heard if not one.says_up_beneath]
    noted = note_silence(target, seen.readings, seen.now) if seen.is_divided or words else target
    later = Continue(target=replace(noted, due_at=seen.now + TAKEOVER_INTERVAL))
    shows_the_old = not target.shared_id and (seen.is_divided or any(map(seen.is_its_own, instances)))
    if overridden:
        if shows_the_old:
            return later
        if target.was_out or not target.may_have_override:
            return other_hands  # it is not ours to lift
        if words and not is_silent(noted, seen.readings, seen.now):
            return later
    elif seen.unanswered:
        return Obstructed(reason=trouble_of(seen.readings))
    elif shows_the_old:
        return Continue(target=replace(noted, due_at=seen.now + HEARTBEAT_CHECK_INTERVAL))
    elif not disagree(instances):
        # Whoever lifted what we set: the id serves again, and the log says the same whichever worker writes it.
        was_watched = target.silent_since is not None or bool(target.renewals)
        is_retained = target.stage is Stage.give_back or was_watched or seen.is_held
        was_out = target.may_have_override and is_retained
        return Finish(report=replace(other_hands.report, outcome=Outcome.restored)) if was_out else other_hands
    if seen.asked_to_go:
        return later  # to end here would leave an override that no drain holds
    if target.stage is not Stage.give_back:
        # Written down before it is done: a crash in between is then no other outcome.
        return Continue(target=noted.carried_on(stage=Stage.give_back, due_at=seen.now, attempt=1))
    return GiveBack(status=words[0] if words else UP)


def note_registration(seen: Observation) -> Target:
    """Note what the registration shows, and what once the pod has ended: another process' doing differs from that."""
    target, readings = seen.target, seen.readings
    if target.written_at is None and any(instance.has_override for instance in present(readings)):
        target = target.written(seen.now)  # by another handling of this drain, or by another drain, perhaps just now
    target = target.written(overridden_at(readings))  # the same, since this one's last look; the log may say so later
    is_its_own = all(seen.is_its_own(instance) for instance in present(readings))
    if is_its_own and (shown := dirty_at(readings)) is not None:
        target = replace(target, dirty_at=shown)
    if not is_after_end(seen.command, seen.now):
        return target
    complete = is_complete(readings, seen.command.gone_at, seen.now)
    if complete and may_note_renewals(target, readings, seen.now):
        target = replace(target, renewals_after_end=_renewals_after_end(seen))
    if target.last_dirty_at is None and is_its_own:
        target = replace(target, last_dirty_at=dirty_at(readings))
    return target


def _renewals_after_end(seen: Observation) -> dict[str, datetime]:
    """Return what each node showed first after the pod's end.

    A node that was away then may come back with what it has kept from before: that is noted when it shows it. What was
    registered there since is not: its heartbeats are those of whoever did so.
    """
    noted = seen.target.renewals_after_end
    ended_at = seen.command.gone_at or address_used_again_at(seen.command)
    if not noted or ended_at is None:
        return noted or renewals(seen.readings)
    kept = [one for one in seen.readings if one.instance is not None and _is_from_before(one.instance, ended_at)]
    return renewals(kept) | noted


def _is_from_before(instance: Instance, ended_at: datetime) -> bool:
    return instance.registered_at is None or instance.registered_at <= ended_at


def is_shared(seen: Observation) -> bool:
    """Return whether other processes heartbeat under the id: the pod's own can not any more."""
    return (seen.command.end_proved and _renews_after_end(seen)) or _renews_since_its_heir(seen)


def _renews_since_its_heir(seen: Observation) -> bool:
    """Return whether every node shows a heartbeat that came since a living pod had the address."""
    used_at = address_used_again_at(seen.command)
    since = [instance.has_renewed_since(used_at, REPLICATION_TIMEOUT) for instance in present(seen.readings)]
    return all(since) and _renews_after_end(seen)


def _renews_after_end(seen: Observation) -> bool:
    complete = is_complete(seen.readings, seen.command.gone_at, seen.now)
    return complete and renews_after_end(seen.target, seen.readings)
