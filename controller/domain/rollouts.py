"""Drains as rollouts: pods of one revision of a workload that went one after the other. Pure.

A revision is the template that pods were made from, by the hash that their Deployment, StatefulSet or DaemonSet gives
it: the pods that end are those of the revision that is replaced, scaled down or evicted. A pod that is drained in
several regions ends once. What a person takes out by hand is no rollout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.domain.causes import Cause
from controller.domain.drain_record import DrainRecord
from controller.domain.shutdown.verdict import Shutdown, ShutdownVerdict, shutdown_of
from controller.domain.shutdown.workloads import Workload

STEP_TIMEOUT = timedelta(minutes=30)
"""Between two pods of one rollout: a Deployment gives each step ten minutes by default."""
_PRECEDENCE = (
    ShutdownVerdict.not_graceful,
    ShutdownVerdict.pending,
    ShutdownVerdict.graceful,
    ShutdownVerdict.not_judged,
)
"""A pod in several regions has the first of these verdicts that it has in one of them."""


@dataclass(slots=True, kw_only=True)
class Rollout:
    """What became of the pods that went."""

    cluster: str
    namespace: str
    kind: str
    """Of the workload: Deployment, StatefulSet …, or Pod for one that nothing controls."""
    workload: str
    revision: str
    """Empty where it is not known: of a StatefulSet's or DaemonSet's pod until it has ended."""
    drains_by_pod: dict[str, list[DrainRecord]] = field(default_factory=dict)
    """By the pod's uid, in the order in which the pods began to go."""
    last_began_at: datetime

    @property
    def name(self) -> str:
        """The workload, as kubectl names it: ``shop/deployment/orders``."""
        return Workload(self.namespace, self.kind, self.workload).kubectl_name

    @property
    def drains(self) -> list[DrainRecord]:
        """All of them."""
        return [record for drains in self.drains_by_pod.values() for record in drains]

    @property
    def apps(self) -> tuple[str, ...]:
        """The Eureka apps of its pods."""
        return tuple(dict.fromkeys(app for record in self.drains for app in record.apps))

    @property
    def began_at(self) -> datetime:
        """When its first pod began to go."""
        return min(map(began_at_of, self.drains))

    @property
    def ended_at(self) -> datetime | None:
        """When the last of its pods ended serving; None while one is still there, or where no watch saw one end."""
        ends = [drains[0].end.ended_at if drains[0].end else None for drains in self.drains_by_pod.values()]
        known = [at for at in ends if at is not None]
        return max(known) if len(known) == len(ends) else None

    @property
    def took(self) -> timedelta | None:
        """From the first pod's deletion to the last one's end."""
        return None if self.ended_at is None else max(self.ended_at - self.began_at, timedelta(0))

    @property
    def shutdowns(self) -> list[Shutdown]:
        """The verdict on each pod."""
        return [shutdown_of(deciding_drain(drains)) for drains in self.drains_by_pod.values()]

    @property
    def verdicts(self) -> Counter[ShutdownVerdict]:
        """How many pods have which verdict."""
        return Counter(one.verdict for one in self.shutdowns)

    @property
    def longest_short_seconds(self) -> int | None:
        """How much longer the pod should have served that lacked most."""
        return max((one.short_seconds for one in self.shutdowns if one.short_seconds is not None), default=None)


def deciding_drain(drains: Iterable[DrainRecord]) -> DrainRecord:
    """Return the one of a pod's drains, a region each, whose verdict is the pod's."""

    def rank(record: DrainRecord) -> tuple[int, timedelta]:
        shutdown = shutdown_of(record)
        return _PRECEDENCE.index(shutdown.verdict), -(shutdown.short_by or timedelta(0))

    return min(drains, key=rank)


def rollouts_of(records: Iterable[DrainRecord]) -> list[Rollout]:
    """Gather drains into rollouts, by when these began."""
    found: list[Rollout] = []
    newest: dict[tuple[str, str, str], list[Rollout]] = {}
    for record in sorted(records, key=began_at_of):
        if record.cause is Cause.asked:
            continue
        kind, workload, revision = _workload_of(record)
        there = newest.setdefault((record.cluster, record.namespace, workload), [])
        rollout = next((one for one in reversed(there) if _continues(one, record, revision)), None)
        if rollout is None:
            rollout = Rollout(
                cluster=record.cluster,
                namespace=record.namespace,
                kind=kind,
                workload=workload,
                revision=revision,
                last_began_at=began_at_of(record),
            )
            found.append(rollout)
            there.append(rollout)
        rollout.revision = rollout.revision or revision
        rollout.last_began_at = began_at_of(record)
        rollout.drains_by_pod.setdefault(record.uid, []).append(record)
    return found


def began_at_of(record: DrainRecord) -> datetime:
    """Return when a drain's pod began to go, as far as the log has that."""
    return record.since_at or record.began_at


def _continues(rollout: Rollout, record: DrainRecord, revision: str) -> bool:
    if record.uid in rollout.drains_by_pod:
        return True
    is_alike = not revision or not rollout.revision or revision == rollout.revision
    return is_alike and began_at_of(record) - rollout.last_began_at <= STEP_TIMEOUT


def _workload_of(record: DrainRecord) -> tuple[str, str, str]:
    """Return kind, name and revision, as far as the log has them: the pod's end says all, its owner's name the most."""
    owner = record.facts.owner if record.facts else None
    is_of_replica_set = owner is not None and owner.kind == "ReplicaSet" and "-" in owner.name
    name, _, template = owner.name.rpartition("-") if owner is not None and is_of_replica_set else ("", "", "")
    if record.end is not None:
        return record.end.kind, record.end.workload, record.end.template or template
    if is_of_replica_set:
        return "Deployment", name, template
    return (owner.kind, owner.name, "") if owner is not None else ("Pod", record.pod, "")
