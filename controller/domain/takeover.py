"""Giving an id back: a living pod holds what a drain took out of service. Pure: flows read, ask here, and perform.

The registry's override sticks to the id, so the drain of an old pod has become an outage of the new one. It is lifted
only where the event log says that we set it, and only while the living pod itself says UP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.domain.addressing import is_local_address, is_same_address
from controller.domain.annotations import PodAnnotations
from controller.domain.commands import DrainCommand, Progress, drain_id
from controller.domain.events import Event, Outcome, event_id
from controller.domain.instances import OUT_OF_SERVICE, Instance
from controller.domain.ledger import REVERSIBLE_CAUSES, HeldInstance
from controller.domain.ownership import CLOCK_SKEW
from controller.domain.pods import Pod
from controller.domain.stages import LiftOverride, Look, Readings, Settled, Wait, is_split, present, trouble_of

MAX_SUCCESSOR_AGE = timedelta(minutes=15)
"""How much older than a drain its successor on the same node's network may be."""
RESTORE_INTERVAL = timedelta(seconds=2)
"""How often an id is looked at until its successor has registered."""
MAX_HELD = 64
"""Instances in one order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreCommand:
    """Put this living pod back in service, wherever it holds what we took out in this region."""

    drain_id: str
    cluster: str
    region: str
    pod: Pod
    observed_at: datetime
    """When the watch saw the pod alive for the last time; a reason to drain it that is seen later ends this."""
    held: tuple[HeldInstance, ...]
    requested_by: str = ""
    requested_at: datetime | None = None
    requested_why: str = ""
    progress: Progress | None = None


WorkItem = DrainCommand | RestoreCommand
"""What a region's workers are told to do."""


def make_restore(
    cluster: str, region: str, pod: Pod, held: tuple[HeldInstance, ...], observed_at: datetime
) -> RestoreCommand:
    """Compose the order."""
    return RestoreCommand(
        drain_id=drain_id(cluster, pod.uid, region, "restore"),
        cluster=cluster,
        region=region,
        pod=pod,
        observed_at=observed_at,
        held=held[:MAX_HELD],
    )


def make_takeover_event(item: RestoreCommand, held: HeldInstance, at: datetime) -> Event:
    """Compose what makes every worker know of the living pod, whoever of them got the order.

    Its registration may look like the drained process's own, and while a node is away nothing can be concluded: until
    then no worker may put the override back.
    """
    reason = f"{item.pod.key} may have taken over the id; it is to be put back in service"
    told = make_restore_event(item, held, Outcome.requested, at, nodes=(), reason=reason)
    return replace(told, facts=item.pod)


def make_restore_event(
    item: RestoreCommand, held: HeldInstance, outcome: Outcome, at: datetime, *, nodes: Readings, reason: str
) -> Event:
    """Compose the event of the drain that is undone, so that its story ends there."""
    return Event(
        event_id=event_id(held.drain_id, held.app, held.id, outcome, reason, item.requested_at),
        drain_id=held.drain_id,
        at=at,
        cluster=item.cluster,
        namespace=held.namespace,
        pod=held.pod,
        uid=held.uid,
        ip=held.ip,
        region=item.region,
        cause=held.cause,
        outcome=outcome,
        app=held.app,
        instance_id=held.id,
        reason=reason,
        nodes=nodes,
        since_at=held.since_at,
        requested_by=item.requested_by,
        requested_at=item.requested_at,
        requested_why=item.requested_why,
    )


def may_have_taken_over(pod: Pod, held: HeldInstance) -> bool:
    """Whether a living pod may stand where a drained one stood: a first choice; the registry has the last word."""
    if not pod.ip or (pod.uid == held.uid and held.cause not in REVERSIBLE_CAUSES):
        return False
    if (pod.namespace, pod.name) == (held.namespace, held.pod):
        return True
    # A node's own address is shared by many: only who came lately can be a successor there.
    late = pod.created_at is None or pod.created_at > held.since_at - MAX_SUCCESSOR_AGE
    return pod.ip == held.ip and (not pod.host_network or (late and pod.namespace == held.namespace))


def decide_restore(
    held: HeldInstance, pod: Pod, annotations: PodAnnotations, readings: Readings
) -> Settled | Wait | Look | LiftOverride:
    """What to do about one id that we took out, for the living pod that may hold it now.

    Under an override a process that says STARTING or DOWN shows as such: OUT_OF_SERVICE means that it has said UP.
    While any node shows somebody else under the id, it is left alone.
    """
    instances = present(readings)
    if any(not _is_the_pods(instance, held, pod, annotations) for instance in instances):
        return Look(after=RESTORE_INTERVAL)
    overridden = [instance for instance in instances if instance.override == OUT_OF_SERVICE]
    if any(instance.status != OUT_OF_SERVICE for instance in overridden):
        return Look(after=RESTORE_INTERVAL)
    if overridden:
        return LiftOverride(nodes=tuple(reading.node for reading in readings))
    if any(not reading.answered for reading in readings):
        return Wait(trouble=trouble_of(readings))
    if is_split(instances):
        return LiftOverride(nodes=tuple(reading.node for reading in readings), split=True)
    return Settled() if len(instances) == len(readings) else Look(after=RESTORE_INTERVAL)


def _is_the_pods(instance: Instance, held: HeldInstance, pod: Pod, annotations: PodAnnotations) -> bool:
    """Whether this registration is the living pod's, and no longer the drained one's."""
    if not is_same_address(instance.ip, pod.ip):
        names_it = instance.host_name.lower() in pod.host_names
        if not (names_it and is_local_address(instance.ip) and not is_local_address(pod.ip)):
            return False
    if held.uid == pod.uid:
        return True  # the very pod that we drained has come back to life
    if pod.host_network and instance.port not in pod.ports and annotations.port != instance.port:
        return annotations.instance_id == instance.id
    if instance.registered_at is None or pod.created_at is None:
        return False
    # A pod may have lived for seconds only: then the old registration is hardly older than the new pod.
    return instance.registered_at > max(held.since_at, pod.created_at - CLOCK_SKEW)
