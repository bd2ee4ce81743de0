"""A living pod that may hold what a drain took out of service: when is its id given back? Pure.

The registry's override sticks to the id, so the drain of an old pod has become an outage of the new one. It is lifted
only where the event log says that we set it, and only while the living pod itself says UP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.annotations import PodAnnotations
from controller.domain.causes import REVERSIBLE
from controller.domain.evidence import Strength, claim_of
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import UP, Instance, Readings, disagree, present, trouble_of
from controller.domain.intervals import REPLICATION_TIMEOUT
from controller.domain.ownership import CLOCK_SKEW
from controller.domain.pod_names import without_random_part
from controller.domain.pods import Pod
from controller.domain.stage_decisions import GiveBack, Obstructed

MAX_SUCCESSOR_AGE = timedelta(minutes=15)
"""How much older than a drain its successor on the same node's network may be."""
RESTORE_INTERVAL = timedelta(seconds=2)
"""How often an id is looked at until its successor has registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The id serves, and no override of ours is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAgain:
    """The id is not the living pod's yet."""

    after: timedelta = RESTORE_INTERVAL
    has_override: bool = False
    """Whether some node shows an override: then it is not forgotten, whoever holds the id."""


RestoreDecision = Restored | LookAgain | Obstructed | GiveBack


def may_have_taken_over(pod: Pod, held: HeldInstance) -> bool:
    """Return whether a living pod may stand where a drained one stood: a first choice; the registry decides."""
    if not pod.ip or (pod.uid == held.uid and held.cause not in REVERSIBLE):
        return False
    if (pod.namespace, pod.name) == (held.namespace, held.pod):
        return True
    if held.ip not in pod.addresses:
        return False
    if not pod.host_network:
        return True
    # A node's own address is shared by many: only who came lately, of the same workload, can be a successor there.
    late = pod.created_at is None or pod.created_at > held.since_at - MAX_SUCCESSOR_AGE
    siblings = without_random_part(pod.name) == without_random_part(held.pod)
    return late and siblings and pod.namespace == held.namespace


def decide_restore(
    held: HeldInstance,
    pod: Pod,
    annotations: PodAnnotations,
    readings: Readings,
    *,
    ended_at: datetime | None = None,
    written_at: datetime | None = None,
) -> RestoreDecision:
    """Decide about one id that we took out, for the living pod that may hold it now.

    ``ended_at``: the drained pod's proved end. ``written_at``: when we last wrote to the id, as far as is known. While
    any node shows somebody else under the id, it is left alone.
    """
    instances = present(readings)
    overridden = [instance for instance in instances if instance.has_override]
    if any(not _is_the_pods(instance, held, pod, annotations, ended_at, written_at) for instance in instances):
        return LookAgain(has_override=bool(overridden))
    if any(not instance.says_up_beneath for instance in overridden):
        return LookAgain(has_override=True)
    if overridden:
        return GiveBack(status=_status_beneath(held, pod, instances))
    if any(not reading.answered for reading in readings):
        return Obstructed(reason=trouble_of(readings))
    if disagree(instances):
        return GiveBack()
    return Restored() if len(instances) == len(readings) else LookAgain()


def _status_beneath(held: HeldInstance, pod: Pod, instances: Sequence[Instance]) -> str:
    """Return what the process had said before it was taken out: without a new registration it says that still."""
    is_same = held.uid == pod.uid and all(one.dirty_at == held.dirty_at for one in instances)
    return held.was or UP if is_same else UP


def _is_the_pods(
    instance: Instance,
    held: HeldInstance,
    pod: Pod,
    annotations: PodAnnotations,
    ended_at: datetime | None,
    written_at: datetime | None,
) -> bool:
    """Return whether this registration is the living pod's, and no longer the drained one's."""
    claim = claim_of(instance, pod, annotations)
    if not claim.holds:
        return False
    if held.uid == pod.uid:
        return True  # the very pod that we drained has come back to life
    if claim.strength >= Strength.pod_name:
        return True
    if claim.strength is Strength.address and held.ip not in pod.addresses:
        return True
    # The drained one's signs as well: an address is used again, a node's is shared, and none may be told.
    if instance.registered_at is None or pod.created_at is None:
        return False
    if ended_at is not None and instance.ip == held.ip and instance.registered_at <= ended_at:
        return False  # nobody else could have the address, or a node's port, before the drained one's end
    # A pod may have lived for seconds only: then the old registration is hardly older than the new pod.
    if instance.registered_at <= max(held.since_at, pod.created_at - CLOCK_SKEW):
        return False
    return _is_another_process(instance, held, written_at or held.out_at)


def _is_another_process(instance: Instance, held: HeldInstance, written_at: datetime) -> bool:
    """Return whether a process registered it anew: a node that starts copies dead ones, each with a new lease."""
    if instance.dirty_at is None or held.dirty_at is None:
        return instance.has_renewed
    if instance.dirty_at != held.dirty_at or instance.registered_at is None:
        return instance.dirty_at != held.dirty_at
    # Some clients always send the same time. Then heartbeats tell, but for those that peers pass on late, and a write.
    return instance.has_renewed_since(max(instance.registered_at, written_at), REPLICATION_TIMEOUT)
