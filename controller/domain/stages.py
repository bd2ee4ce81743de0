"""One instance's drain, stage by stage, as pure decisions: flows/lifecycle reads, asks here, performs, and asks again.

    find ─▶ take_out ─▶ (read back: proved) ─▶ retain ─▶ delete ─▶ (read back: verified) ─▶ removed
               │                                 │ ▲        │
               │ already_gone, refused           │ └────────┴─ it heartbeats, or came back
               └───────── superseded ◀── give_back ◀── a newer process holds the id ──▶ restored

Each stage is repeatable: it starts from what the nodes show now, and asking twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from controller.domain.causes import Cause
from controller.domain.commands import Stage
from controller.domain.events import Outcome
from controller.domain.instances import Condition, Readings, present, trouble_of
from controller.domain.intervals import FIRST_HEARTBEAT_CHECK_INTERVAL, HEARTBEAT_CHECK_INTERVAL
from controller.domain.next_look import MAX_LEASE_WAIT, next_look_in, over_at
from controller.domain.ownership import Unsettled, names_the_pod
from controller.domain.reason import Reason, ReasonCode
from controller.domain.silence import (
    has_renewed,
    has_renewed_everywhere,
    heartbeats_again,
    note_silence,
    renewals,
    silence_needed,
)
from controller.domain.stage_decisions import (
    Conclude,
    Continue,
    Delete,
    Finish,
    Observation,
    Obstructed,
    Report,
    StageDecision,
    TakeOut,
)
from controller.domain.takeover import GIVEN_BACK, check_ownership, is_shared, leave_to_successor, note_registration

MAX_DENIED_ATTEMPTS = 12
"""A node that denies us (401, 403) is misconfigured, and not worth an hour of tries. But a changed password may reach
the node first, and a running pod only when the kubelet brings it, a minute or two later: they take two minutes."""
MAX_DELETES = 3
"""DELETEs after which an instance that is still there is said to come back."""


def take_out(seen: Observation) -> StageDecision:
    """Get the instance out of service at every node."""
    target, now = note_registration(seen), seen.now
    seen = replace(seen, target=target)
    other_hands = check_ownership(seen)
    if other_hands is not None:
        if target.may_have_override:
            # The id may bear our override into its new hands: see to that before it is left alone.
            return Continue(target=replace(target, stage=Stage.retain, due_at=now))
        return _until_one_is_alive(seen) or other_hands
    if serving := nodes_in_service(seen.readings):
        return _until_settled(seen) or TakeOut(nodes=serving)
    if seen.unanswered:
        return Obstructed(reason=trouble_of(seen.readings))
    if is_absent(seen.readings):
        return _gone(seen)
    safe_at = now + seen.window
    ends = seen.remove and seen.command.cause is not Cause.asked
    ends_at = max(seen.command.end_at, now) + seen.retention if ends else None
    reason = ALREADY_OUT if target.was_out else None
    report = Report(outcome=Outcome.out_of_service, reason=reason, retention_ends_at=ends_at, safe_at=safe_at)
    later = target.carried_on(
        stage=Stage.retain,
        due_at=now + FIRST_HEARTBEAT_CHECK_INTERVAL,
        renewals=renewals(seen.readings),
        silent_since=now,
        # What the pod's own hook has set would keep a successor out for good: it is the drain's to lift.
        may_have_override=not target.was_out,
        attempt=1,
    )
    return Continue(target=later, report=report)


def retain(seen: Observation) -> StageDecision:
    """Keep the instance out until it has been silent for long enough and its retention is over.

    The retention runs from the pod's deadline, or from when its silence is proved: then the process ended earlier. The
    instance is never left alone: a successor may take over the id, and our override with it.
    """
    target, now = note_registration(seen), seen.now
    seen = replace(seen, target=target)
    if (other_hands := check_ownership(seen)) is not None:
        return leave_to_successor(seen, other_hands)
    if target.shared_id or is_shared(seen):
        return leave_to_successor(replace(seen, target=replace(target, shared_id=True)), GIVEN_BACK)
    if serving := nodes_in_service(seen.readings):
        if not seen.remove and _was_put_back(seen):
            return Conclude()
        # A node restarted, or a flip back: the drain is still in force.
        return _until_settled(seen) or TakeOut(nodes=serving)
    if seen.unanswered:
        return Obstructed(reason=trouble_of(seen.readings), target=target) if seen.remove else _wait_for_node(seen)
    if is_absent(seen.readings):
        gone = _gone(seen)
        return Conclude() if isinstance(gone, Finish) and not seen.remove else gone
    if is_heard := target.silent_since is None or target.renewals != renewals(seen.readings):
        if not seen.remove and _outlives_its_pod(seen):
            return Conclude()
        seen = replace(seen, target=note_silence(target, seen.readings, now))
    if now < over_at(seen):
        stage = Stage.retain if is_heard else target.stage
        return _carry_on(seen, stage=stage, due_at=now + next_look_in(seen), attempt=1)
    if not seen.remove:
        return Conclude()
    # Written down before it is done: a crash in between is then no other outcome.
    return Continue(target=target.carried_on(stage=Stage.delete, due_at=now, attempt=1))


def delete(seen: Observation) -> StageDecision:
    """Delete the instance at every node, and look until none shows it any more."""
    target = seen.target
    if (other_hands := check_ownership(seen)) is not None:
        return leave_to_successor(seen, other_hands)
    if renewals(seen.readings):
        if target.silent_since is None or has_renewed(target, seen.readings):
            # It came back, or lives: its silence is to be proved anew.
            noted = note_silence(target, seen.readings, seen.now)
            return _carry_on(
                replace(seen, target=noted), stage=Stage.retain, due_at=seen.now + HEARTBEAT_CHECK_INTERVAL, attempt=1
            )
        if target.attempt == MAX_DELETES + 1:
            return Obstructed(reason=COMES_BACK)
        return Delete()
    if seen.unanswered:
        return Obstructed(reason=trouble_of(seen.readings))
    return Finish(report=Report(outcome=Outcome.removed))


STAGES: Mapping[Stage, Callable[[Observation], StageDecision]] = MappingProxyType(
    {
        Stage.take_out: take_out,
        Stage.retain: retain,
        Stage.delete: delete,
        Stage.give_back: retain,  # the exit for an id in newer hands; should it be its own again, it is retained
    }
)

COMES_BACK = Reason(
    code=ReasonCode.comes_back,
    detail="it is back after each DELETE; does a node count itself among its peers?",
)
ALREADY_OUT = Reason(code=ReasonCode.already_out, detail="it was out of service before, and not by a drain")
BACK = Reason(code=ReasonCode.back_in_service, detail="it was back in service")


def _until_settled(seen: Observation) -> Continue | Obstructed | None:
    """Wait before a first write while nobody can say whose it is: its heartbeats, or their absence, will.

    A dead one's copy at a restarted node serves callers for that long; a living process would be out until it has
    proved to be one.
    """
    if not any(isinstance(seen.ownership(instance), Unsettled) for instance in present(seen.readings)):
        return None
    noted = note_silence(seen.target, seen.readings, seen.now)
    assert noted.silent_since is not None
    left = noted.silent_since + silence_needed(noted, seen.readings) - seen.now
    if left <= timedelta(0):
        return None
    if seen.unanswered:
        # Only all nodes together show that it is somebody else's, who may heartbeat for ever.
        away = tuple(reading for reading in seen.readings if not reading.answered)
        return Obstructed(reason=trouble_of(away), target=noted)
    return Continue(target=noted.carried_on(due_at=seen.now + min(left, HEARTBEAT_CHECK_INTERVAL)))


def _until_one_is_alive(seen: Observation) -> Continue | Obstructed | None:
    """Wait where nodes show different processes' registrations, until one heartbeats: all of them may be dead.

    A living one makes itself known to every node; what dead ones have left stays as it is, and is called.
    """
    target = seen.target
    if not seen.is_divided or heartbeats_again(target, seen.readings):
        return None
    if seen.unanswered:
        return Obstructed(reason=trouble_of(seen.readings))
    return Continue(
        target=note_silence(target, seen.readings, seen.now).carried_on(due_at=seen.now + HEARTBEAT_CHECK_INTERVAL)
    )


def _gone(seen: Observation) -> Continue | Finish:
    """Decide about an instance that no node holds.

    A 404 alone does not say that the process has gone: after a restart a node knows nobody, and each process that
    still heartbeats registers again. So it must stay away for longer than a heartbeat.
    """
    target, away_since, wait = seen.target, seen.now, HEARTBEAT_CHECK_INTERVAL
    if target.silent_since is not None and not target.renewals:
        away_since = target.silent_since
        left = away_since + silence_needed(target, seen.readings) - seen.now
        if left <= timedelta(0) and not seen.may_register:
            reason = Reason(code=ReasonCode.absent, detail="no node holds it any more")
            # Where nobody had taken it out, it has been out since it was first looked for.
            safe_at = away_since + seen.window if target.stage is Stage.take_out else None
            return Finish(report=Report(outcome=Outcome.already_gone, reason=reason, safe_at=safe_at))
        wait = min(left, HEARTBEAT_CHECK_INTERVAL) if left > timedelta(0) else HEARTBEAT_CHECK_INTERVAL
    stage = target.stage if target.stage is Stage.take_out else Stage.retain
    return Continue(
        target=target.carried_on(
            stage=stage,
            due_at=seen.now + wait,
            renewals={},
            silent_since=away_since,
            **({} if stage is Stage.take_out else {"attempt": 1}),
        )
    )


def _was_put_back(seen: Observation) -> bool:
    """Return whether somebody has lifted the override where only the pod can have the id, and nothing is to be deleted.

    A node that has restarted shows another registration than the one that it held when the drain began. Where that one
    serves again, a person has put it back, which counts.
    """
    lifted = present(reading for reading in seen.readings if reading.condition is Condition.in_service)
    is_old = any(one.registered_at is not None and one.registered_at <= seen.command.since_at for one in lifted)
    return is_old and names_the_pod(seen.target.id, seen.command.pod)


def _wait_for_node(seen: Observation) -> Continue | Conclude:
    """Look again at what is out and is not to be deleted, while a node is away: that is no trouble of the drain's."""
    since = max(seen.command.may_register_until, seen.target.written_at or seen.command.observed_at)
    if seen.now >= since + MAX_LEASE_WAIT:
        return Conclude()
    return _carry_on(seen, due_at=seen.now + HEARTBEAT_CHECK_INTERVAL, attempt=1)


def _outlives_its_pod(seen: Observation) -> bool:
    """Return whether what heartbeats under an id that others hardly get does so for long beyond its pod's end.

    At every node, or for an hour: a heartbeat that is only passed on yet may turn out to be somebody else's.
    """
    target = seen.target
    settled_at = (target.written_at or seen.command.observed_at) + silence_needed(target, seen.readings)
    is_late = not seen.may_register and seen.now >= settled_at
    is_over = seen.now - MAX_LEASE_WAIT >= max(seen.command.may_register_until, settled_at)
    return (
        names_the_pod(target.id, seen.command.pod)
        and is_late
        and (has_renewed_everywhere(target, seen.readings) or is_over)
    )


def _carry_on(seen: Observation, **changes: Any) -> Continue:
    report = None
    if seen.target.trouble == BACK and present(seen.readings):
        report = _report_back_in_service(seen)  # what could not be proved then is proved now
    return Continue(target=seen.target.carried_on(**changes), report=report)


def proof_of(seen: Observation, decision: StageDecision) -> StageDecision:
    """Decide what reading back proves: a node that still serves it, or does not answer, proves nothing."""
    if seen.target.stage is Stage.take_out:
        return decision
    if nodes_in_service(seen.readings) or seen.unanswered:
        return Obstructed(reason=BACK)
    report = _report_back_in_service(seen)
    assert report.reason is not None
    return Obstructed(reason=report.reason, safe_at=report.safe_at)


def _report_back_in_service(seen: Observation) -> Report:
    """Report that callers were given it once more, until now. The time makes each such event one of its own."""
    reason = replace(BACK, detail=f"it was back in service until {seen.now:%H:%M:%S}Z")
    return Report(outcome=Outcome.retrying, reason=reason, safe_at=seen.now + seen.window)


def nodes_in_service(readings: Readings) -> tuple[str, ...]:
    """Return the nodes that give the instance to callers."""
    return tuple(reading.node for reading in readings if reading.condition is Condition.in_service)


def is_absent(readings: Readings) -> bool:
    """Return whether every node says that it does not hold the instance."""
    return all(reading.condition is Condition.absent for reading in readings)


def is_hopeless(readings: Readings, attempt: int) -> bool:
    """Return whether a node goes on denying us: retries cannot fix a configuration."""
    return attempt >= MAX_DENIED_ATTEMPTS and any(reading.condition is Condition.denied for reading in readings)
