"""What a person does by hand: taking a living pod out of service, putting it back, moving what waits to another region.

The pod goes on living, so its drain has no deadline: it is never deleted from the registry while it heartbeats. Each
drain by hand has an id of its own; the one that follows the pod's death is the watch's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from controller.domain.causes import Cause, cause_of
from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem, drain_id, make_restore
from controller.domain.held_instances import HeldInstance
from controller.domain.pods import LivingPod, Pod
from controller.domain.replay_plan import Requester, requested, signed
from controller.domain.routing import Publish, Refuse, Routing, make_commands

NO_DEADLINE = timedelta(days=3_650)
"""From now: longer than any process lives."""


def drains_of(
    pod: Pod, routing: Routing, living: tuple[LivingPod, ...], requester: Requester
) -> list[DrainCommand] | str:
    """Compose the commands, one a region; or say why there are none."""
    if cause_of(pod) is not None:
        return "it is going already: the watch drains it"
    if not pod.ip:
        return "it has no address yet"
    commands = []
    for decision in make_commands(pod, Cause.asked, requester.at, routing, living):
        match decision:
            case Refuse(reason=reason):
                return str(reason)
            case Publish(command=command):
                name = drain_id(command.cluster, pod.uid, command.region, f"by hand {requester.at.isoformat()}")
                commands.append(
                    requested(replace(command, drain_id=name, end_at=requester.at + NO_DEADLINE), requester)
                )
    return commands or "it is switched off by its annotation eureka.drain/enabled, or has no region"


def restores_of(pod: Pod, cluster: str, held: list[HeldInstance], requester: Requester) -> list[RestoreCommand] | str:
    """Compose the commands that put a living pod back, one a region; only for what a drain has taken out."""
    if cause_of(pod) is not None:
        return "it is going: what is dying is not put back in service"
    regions = dict.fromkeys(held.region for held in held)
    if not regions:
        return "the event log says of no drain that it holds this pod out of service"
    commands = []
    for region in regions:
        there = tuple(one for one in held if one.region == region)
        commands.append(signed(make_restore(cluster, region, pod, there, requester.at), requester))
    return commands


def moved_to(region: str, item: WorkItem) -> WorkItem:
    """Return the item for another region, with its id and its progress; a restore, with what it holds there."""
    if isinstance(item, RestoreCommand):
        return replace(item, region=region, held=tuple(replace(one, region=region) for one in item.held))
    return replace(item, region=region)
