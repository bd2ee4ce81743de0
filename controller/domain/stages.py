"""The next step of one instance's drain, from what every node said. Pure: flows read, ask here, and perform.

drain ──(out or absent at every node)──▶ retire ──(silent, retention over)──▶ delete ──(absent)──▶ removed
  │                                        ▲ └─ it heartbeats: look again       │ └─ DELETE, look again
  └─ already_gone, refused, superseded     └──────────── it came back ──────────┘

retire, delete ──(the id is in newer hands)──▶ superseded, or restore ──(our override is lifted)──▶ restored
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Stage, Target
from controller.domain.events import Outcome
from controller.domain.instances import OUT_OF_SERVICE, Condition, Instance, Reading, silence_of
from controller.domain.intervals import HEARTBEAT_CHECK_INTERVAL, TAKEOVER_INTERVAL
from controller.domain.ownership import Foreign, Owned, TakenOver, is_same, ownership_of

Readings = tuple[Reading, ...]

DENIED_ATTEMPTS = 12
"""A node that denies us (401, 403) is misconfigured, and not worth an hour of tries. But a changed password may reach
the node first, and a running pod only when the kubelet brings it, a minute or two later: they take two minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Nothing more is to be done about this instance."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOut:
    """Set OUT_OF_SERVICE at these nodes."""

    nodes: tuple[str, ...]
    stubborn: tuple[str, ...] = ()
    """Those of them that would store no override, because the client says OUT_OF_SERVICE itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """No node gives the instance to a client any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something stands in the way; try again."""

    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Note the renewal times and look again after this long, to see whether it heartbeats."""

    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Silent so far: keep what was noted and come back after this long."""

    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftOverride:
    """A newer process says UP and is kept OUT_OF_SERVICE by the override that we set on its id."""

    nodes: tuple[str, ...]
    split: bool = False
    """The override is gone, and one node shows UP, another OUT_OF_SERVICE: no heartbeat would mend that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Silent, and its retention is over."""

    nodes: tuple[str, ...]


def check_ownership(
    target: Target, command: DrainCommand, annotations: PodAnnotations, readings: Readings
) -> Finish | None:
    """Before any write: end it when any node shows the id in other hands.

    One node is enough: a write at another one would be replicated to it.
    """
    for instance in present(readings):
        match ownership_of(instance, command, annotations):
            case TakenOver(reason=reason):
                return Finish(outcome=Outcome.superseded, reason=reason)
            case Foreign(reason=reason):
                # Once it was proved to be the pod's, other hands are newer ones.
                outcome = Outcome.refused if target.stage is Stage.drain else Outcome.superseded
                return Finish(outcome=outcome, reason=reason)
            case Owned():
                pass
        if not is_same(instance, target):
            return Finish(
                outcome=Outcome.superseded, reason=f"the id now stands for {instance.ip or instance.host_name}"
            )
    return None


def decide_take_out(readings: Readings) -> TakeOut | Settled | Wait:
    """What to do about an instance that is the pod's own and should be out of service everywhere."""
    serving = tuple(reading.node for reading in readings if reading.condition is Condition.in_service)
    if serving:
        stubborn = tuple(r.node for r in readings if r.instance is not None and r.instance.says_so_itself)
        return TakeOut(nodes=serving, stubborn=stubborn)
    if any(not reading.answered for reading in readings):
        return Wait(trouble=trouble_of(readings))
    return Settled()


def decide_absent(target: Target, readings: Readings, now: datetime) -> Finish | Look | None:
    """What to do about an instance that no node holds; None while one does.

    A 404 alone does not say that the process has gone: after a restart a node knows nobody, and each process that
    still heartbeats registers again. So it must stay away for longer than a heartbeat.
    """
    if any(reading.condition is not Condition.absent for reading in readings):
        return None
    if target.looked_at is None or target.renewals:
        return Look(after=HEARTBEAT_CHECK_INTERVAL)
    left = target.looked_at + silence_needed(target, readings) - now
    if left > timedelta(0):
        return Look(after=min(left, HEARTBEAT_CHECK_INTERVAL))
    return Finish(outcome=Outcome.already_gone, reason="no node holds it any more")


def decide_retention(
    target: Target,
    readings: Readings,
    now: datetime,
    *,
    end_at: datetime,
    retention: timedelta,
    longest: timedelta = timedelta.max,
) -> Finish | TakeOut | Wait | Look | Hold | Delete:
    """What to do about an instance that is out of service and should go.

    Its retention runs from the pod's deadline, or from when its silence is proved: then the process ended earlier. It
    is never left alone for more than a heartbeat's time, or ``longest``: a successor may take over the id, and our
    override with it.
    """
    match decide_take_out(readings):
        case Settled():
            pass
        case other:
            return other
    if (gone := decide_absent(target, readings, now)) is not None:
        return gone
    if target.looked_at is None or target.renewals != renewals(readings):
        return Look(after=min(HEARTBEAT_CHECK_INTERVAL, longest))
    silence = silence_needed(target, readings)
    silent_at = target.looked_at + silence
    if now < silent_at:
        return Hold(after=min(silent_at - now, HEARTBEAT_CHECK_INTERVAL, longest))
    delete_at = max(silent_at, min(end_at, silent_at) + retention)
    if now < delete_at:
        return Hold(after=min(delete_at - now, silence, longest))
    return Delete(nodes=tuple(reading.node for reading in readings))


def decide_delete(target: Target, readings: Readings) -> Finish | Wait | Look | Delete:
    """What to do about an instance whose time has come, before and after its DELETE.

    That it is to be deleted is written down before it is done: so a crash in between is no other outcome.
    """
    seen = renewals(readings)
    if any(target.renewals.get(node) != renewed_at for node, renewed_at in seen.items()):
        return Look(after=HEARTBEAT_CHECK_INTERVAL)
    if seen:
        return Delete(nodes=tuple(reading.node for reading in readings))
    if any(not reading.answered for reading in readings):
        return Wait(trouble=trouble_of(readings))
    return Finish(outcome=Outcome.removed)


def is_split(instances: Iterable[Instance]) -> bool:
    """Whether nodes show the same process UP here and OUT_OF_SERVICE there, with no override left to lift."""
    shown = {instance.status for instance in instances if instance.override != OUT_OF_SERVICE}
    return {"UP", OUT_OF_SERVICE} <= shown


def decide_takeover(
    target: Target, command: DrainCommand, annotations: PodAnnotations, readings: Readings
) -> Settled | Wait | Look | LiftOverride:
    """What to do once the id that we took out of service stands for a newer process: our override sticks to it.

    Under an override a process that says STARTING or DOWN shows as such: OUT_OF_SERVICE means that it has said UP.
    While any node still shows the old process, lifting the override would put that one back in service there.
    """
    instances = present(readings)
    held = [instance for instance in instances if instance.override == OUT_OF_SERVICE]
    if held:
        if any(is_ours(instance, target, command, annotations) for instance in instances):
            return Look(after=TAKEOVER_INTERVAL)
        if any(instance.status != OUT_OF_SERVICE for instance in held):
            return Look(after=TAKEOVER_INTERVAL)
        return LiftOverride(nodes=tuple(reading.node for reading in readings))
    if any(not reading.answered for reading in readings):
        return Wait(trouble=trouble_of(readings))
    if is_split(instances):
        return LiftOverride(nodes=tuple(reading.node for reading in readings), split=True)
    return Settled()


def is_ours(instance: Instance, target: Target, command: DrainCommand, annotations: PodAnnotations) -> bool:
    """Whether this is still the process that was drained."""
    return isinstance(ownership_of(instance, command, annotations), Owned) and is_same(instance, target)


def silence_needed(target: Target, readings: Readings) -> timedelta:
    """How long every node must show the same renewal, or none, to prove that no heartbeat came."""
    intervals = [instance.renewal_interval for instance in present(readings)]
    return max(silence_of(interval) for interval in intervals or [target.renewal_interval])


def present(readings: Iterable[Reading]) -> list[Instance]:
    """The registrations that nodes showed."""
    return [reading.instance for reading in readings if reading.instance is not None]


def renewals(readings: Iterable[Reading]) -> dict[str, datetime]:
    """The last renewal of each node that holds the instance."""
    return {
        reading.node: reading.instance.renewed_at
        for reading in readings
        if reading.instance is not None and reading.instance.renewed_at is not None
    }


def trouble_of(readings: Readings) -> str:
    """Name the nodes that are not settled, for people."""
    open_ones = [reading for reading in readings if not reading.settled]
    return "; ".join(
        f"{reading.node}: {reading.condition}{f' ({reading.detail})' if reading.detail else ''}"
        for reading in open_ones
    )


def is_hopeless(readings: Readings, attempt: int) -> bool:
    """True when a node goes on denying us: retries cannot mend a configuration."""
    return attempt >= DENIED_ATTEMPTS and any(reading.condition is Condition.denied for reading in readings)
