"""A replay's plan: what each drain would come to if it were requested again. Reads registries; writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from controller.domain.annotations import AnnotationError, PodAnnotations, read_annotations
from controller.domain.candidates import Rejected
from controller.domain.commands import DrainCommand, target_of
from controller.domain.dead_messages import DeadMessage
from controller.domain.drain_record import DrainRecord
from controller.domain.guard_policy import GuardPolicy, RecentTakeOuts
from controller.domain.instances import Instance
from controller.domain.pods import LivingPod, Pod
from controller.domain.replay_plan import (
    ReplayAction,
    ReplayDecision,
    ReplayItem,
    Requester,
    combine_decisions,
    decide_instance,
    decide_under_way,
    replay_command,
    requested,
)
from controller.domain.stage_decisions import Finish, Observation
from controller.errors import RegistryError
from controller.flows.guard import Guard
from controller.flows.instance_finder import InstanceFinder
from controller.flows.ports import Clock, Registry
from controller.flows.worker_policy import WorkerPolicy

MAX_CONCURRENT = 32
"""Drains that are planned at a time."""

Place = tuple[str, str]


class LivingPods:
    """The cluster's living pods, as far as whoever plans may list them."""

    def __init__(self, sharing: Callable[[Pod], tuple[LivingPod, ...]], lives: Callable[[str], bool]) -> None:
        self.sharing = sharing
        self.lives = lives


class ReplayPlanner:
    """Plans drains one by one, many at a time."""

    def __init__(
        self,
        *,
        regions: Mapping[str, Registry],
        policy: WorkerPolicy,
        clock: Clock,
        living: LivingPods | None,
    ) -> None:
        self._regions = regions
        self._policy = policy
        self._clock = clock
        self._living = living
        self._begun_at = clock()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        # How many may go in a minute is the workers' to decide, when it comes to that.
        alone = GuardPolicy(last_instance=policy.guard.last_instance, max_percent_per_minute=0)
        templates = policy.instance_id_templates
        self._finders = {
            name: InstanceFinder(registry=registry, instance_id_templates=templates)
            for name, registry in regions.items()
        }
        self._guards = {
            name: Guard(registry=registry, policy=alone, recent_take_outs=RecentTakeOuts())
            for name, registry in regions.items()
        }

    async def plan(
        self,
        records: Sequence[DrainRecord],
        requester: Requester,
        *,
        again: bool,
        report: Callable[[], object] = lambda: None,
    ) -> list[ReplayItem]:
        """Plan these drains; ``report`` is called after each. ``again``: also those that a worker still has."""

        async def plan_one(record: DrainRecord) -> ReplayItem:
            async with self._slots:
                item = await self._of_record(record, requester, again=again)
            report()
            return item

        return list(await asyncio.gather(*(plan_one(record) for record in records)))

    async def plan_dead_message(self, message: DeadMessage, requester: Requester) -> ReplayItem:
        """Plan the command of one dead letter; a restore and what cannot be read are refused."""
        if isinstance(message.item, DrainCommand):
            async with self._slots:
                return await self._of_command(requested(message.item, requester), dead_number=message.number)
        why = "a restore: dead requeue sends it again" if message.item else f"not a message of ours: {message.problem}"
        return ReplayItem(
            drain_id=message.drain_id or message.message_id or "-",
            region=message.region,
            pod=message.item.pod.key if message.item else "-",
            apps=message.apps,
            decision=ReplayDecision(action=ReplayAction.refuse, reason=why),
        )

    async def _of_record(self, record: DrainRecord, requester: Requester, *, again: bool) -> ReplayItem:
        item = ReplayItem(
            drain_id=record.drain_id,
            region=record.region,
            pod=record.key,
            apps=record.apps,
            decision=ReplayDecision(action=ReplayAction.refuse),
        )
        waiting = None if again else decide_under_way(record, requester.at, self._policy.give_up_after)
        if waiting is not None:
            return replace(item, decision=waiting)
        command = replay_command(record, requester)
        if isinstance(command, ReplayDecision):
            return replace(item, decision=command)
        return await self._of_command(command, apps=record.apps)

    async def _of_command(
        self, command: DrainCommand, *, apps: tuple[str, ...] = (), dead_number: int | None = None
    ) -> ReplayItem:
        if self._living is not None:
            command = replace(command, living=self._living.sharing(command.pod))
        item = ReplayItem(
            drain_id=command.drain_id,
            region=command.region,
            pod=command.pod.key,
            apps=apps,
            decision=ReplayDecision(action=ReplayAction.refuse),
            dead_number=dead_number,
        )
        try:
            decision, instances = await self._decide(command)
        except (AnnotationError, RegistryError) as error:
            return replace(item, decision=ReplayDecision(action=ReplayAction.refuse, reason=str(error)))
        apps = apps or tuple(dict.fromkeys(app for app, _ in instances))
        if decision.action is not ReplayAction.drain:
            return replace(item, decision=decision, apps=apps)
        return replace(item, decision=decision, apps=apps, command=command, instances=instances)

    async def _decide(self, command: DrainCommand) -> tuple[ReplayDecision, tuple[Place, ...]]:
        if command.region not in self._regions:
            reason = f"the settings name no nodes for region {command.region}"
            return ReplayDecision(action=ReplayAction.refuse, reason=reason), ()
        if self._living is not None and self._living.lives(command.pod.uid):
            return ReplayDecision(action=ReplayAction.refuse, reason="the pod itself is alive"), ()
        annotations = read_annotations(command.pod)
        resolution = await self._finders[command.region].find(command, annotations, not_before=self._begun_at)
        decided = [(one, await self._instance(command, annotations, one)) for one in resolution.own]
        decided += [(rejected.instance, _rejected(rejected)) for rejected in resolution.rejected]
        if not decided:
            return ReplayDecision(
                action=ReplayAction.gone, reason="no instance in the region has its address or host name"
            ), ()
        to_drain = tuple((one.app, one.id) for one, what in decided if what.action is ReplayAction.drain)
        return combine_decisions(what for _, what in decided), to_drain

    async def _instance(self, command: DrainCommand, annotations: PodAnnotations, instance: Instance) -> ReplayDecision:
        now = self._clock()
        target = target_of(instance, now)
        readings = await self._regions[command.region].read(instance.app, instance.id)
        seen = Observation(
            command=command,
            annotations=annotations,
            target=target,
            readings=readings,
            now=now,
            retention=self._policy.retention,
            window=timedelta(0),  # when callers are done is not planned
        )
        decision = decide_instance(seen)
        if decision.action is not ReplayAction.drain:
            return decision
        objection = await self._guards[command.region].objection(command, target, readings, now)
        if isinstance(objection, Finish):
            return ReplayDecision(action=ReplayAction.refuse, reason=str(objection.report.reason))
        return decision


def _rejected(rejected: Rejected) -> ReplayDecision:
    action = ReplayAction.superseded if rejected.is_taken_over else ReplayAction.refuse
    return ReplayDecision(action=action, reason=str(rejected.reason))
