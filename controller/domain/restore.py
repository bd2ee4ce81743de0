"""Giving an id back: a living pod holds what a drain took out of service. Pure: flows read, ask here, and perform.

The registry's override sticks to the id, so the drain of an old pod has become an outage of the new one. It is lifted
only where the event log says that we set it, and only while the living pod itself says UP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.domain.addressing import is_same_address, tells_no_address
from controller.domain.commands import Command, Progress, drain_id
from controller.domain.drain import Lift, Look, Readings, Settled, Wait, is_split, present, trouble_of
from controller.domain.events import Event, Outcome, event_id
from controller.domain.fence import CLOCK_SKEW
from controller.domain.hints import Hints
from controller.domain.instances import OUT_OF_SERVICE, Instance
from controller.domain.ledger import COMES_BACK, Taken
from controller.domain.pods import Pod

RECENT = timedelta(minutes=15)
"""How much older than a drain its successor on the same node's network may be."""
SOON = timedelta(seconds=2)
"""How often an id is looked at until its successor has registered."""
MOST_TAKEN = 64
"""Instances in one order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Put this living pod back in service, wherever it holds what we took out in this region."""

    drain_id: str
    cluster: str
    region: str
    pod: Pod
    observed_at: datetime
    """When the watch saw the pod alive for the last time; a reason to drain it that is seen later ends this."""
    taken: tuple[Taken, ...]
    requested_by: str = ""
    requested_at: datetime | None = None
    requested_why: str = ""
    progress: Progress | None = None


Order = Command | Restore
"""What a region's workers are told to do."""


def restore_of(cluster: str, region: str, pod: Pod, taken: tuple[Taken, ...], observed_at: datetime) -> Restore:
    """Compose the order."""
    return Restore(
        drain_id=drain_id(cluster, pod.uid, region, "restore"),
        cluster=cluster,
        region=region,
        pod=pod,
        observed_at=observed_at,
        taken=taken[:MOST_TAKEN],
    )


def tell_succession(order: Restore, taken: Taken, at: datetime) -> Event:
    """Compose what makes every worker know of the living pod, whoever of them got the order.

    Its registration may look like the drained process's own, and while a node is away nothing can be concluded: until
    then no worker may put the override back.
    """
    reason = f"{order.pod.key} may have taken over the id; it is to be put back in service"
    told = tell_restored(order, taken, Outcome.requested, at, nodes=(), reason=reason)
    return replace(told, facts=order.pod)


def tell_restored(
    order: Restore, taken: Taken, outcome: Outcome, at: datetime, *, nodes: Readings, reason: str
) -> Event:
    """Compose the event of the drain that is undone, so that its story ends there."""
    return Event(
        event_id=event_id(taken.drain_id, taken.app, taken.id, outcome, reason, order.requested_at),
        drain_id=taken.drain_id,
        at=at,
        cluster=order.cluster,
        namespace=taken.namespace,
        pod=taken.pod,
        uid=taken.uid,
        ip=taken.ip,
        region=order.region,
        cause=taken.cause,
        outcome=outcome,
        app=taken.app,
        instance_id=taken.id,
        reason=reason,
        nodes=nodes,
        since_at=taken.since_at,
        requested_by=order.requested_by,
        requested_at=order.requested_at,
        requested_why=order.requested_why,
    )


def may_hold(pod: Pod, taken: Taken) -> bool:
    """Whether a living pod may stand where a drained one stood: a first choice; the registry has the last word."""
    if not pod.ip or (pod.uid == taken.uid and taken.cause not in COMES_BACK):
        return False
    if (pod.namespace, pod.name) == (taken.namespace, taken.pod):
        return True
    # A node's own address is shared by many: only who came lately can be a successor there.
    late = pod.created_at is None or pod.created_at > taken.since_at - RECENT
    return pod.ip == taken.ip and (not pod.host_network or (late and pod.namespace == taken.namespace))


def to_restore(taken: Taken, pod: Pod, hints: Hints, readings: Readings) -> Settled | Wait | Look | Lift:
    """What to do about one id that we took out, for the living pod that may hold it now.

    Under an override a process that says STARTING or DOWN shows as such: OUT_OF_SERVICE means that it has said UP.
    While any node shows somebody else under the id, it is left alone.
    """
    instances = present(readings)
    if any(not _is_the_pods(instance, taken, pod, hints) for instance in instances):
        return Look(after=SOON)
    held = [instance for instance in instances if instance.override == OUT_OF_SERVICE]
    if any(instance.status != OUT_OF_SERVICE for instance in held):
        return Look(after=SOON)
    if held:
        return Lift(nodes=tuple(reading.node for reading in readings))
    if any(not reading.answered for reading in readings):
        return Wait(trouble=trouble_of(readings))
    if is_split(instances):
        return Lift(nodes=tuple(reading.node for reading in readings), split=True)
    return Settled() if len(instances) == len(readings) else Look(after=SOON)


def _is_the_pods(instance: Instance, taken: Taken, pod: Pod, hints: Hints) -> bool:
    """Whether this registration is the living pod's, and no longer the drained one's."""
    if not is_same_address(instance.ip, pod.ip):
        names_it = instance.host_name.lower() in pod.host_names
        if not (names_it and tells_no_address(instance.ip) and not tells_no_address(pod.ip)):
            return False
    if taken.uid == pod.uid:
        return True  # the very pod that we drained has come back to life
    if pod.host_network and instance.port not in pod.ports and hints.port != instance.port:
        return hints.instance_id == instance.id
    if instance.registered_at is None or pod.created_at is None:
        return False
    # A pod may have lived for seconds only: then the old registration is hardly older than the new pod.
    return instance.registered_at > max(taken.since_at, pod.created_at - CLOCK_SKEW)
