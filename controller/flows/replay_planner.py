"""A replay's plan: what would come of each drain if it were asked for again. Reads registries; writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from controller.domain.annotations import AnnotationError, PodAnnotations, read_annotations
from controller.domain.commands import DrainCommand, target_of
from controller.domain.drain_record import DrainRecord
from controller.domain.guard import GuardPolicy, RecentTakeOuts
from controller.domain.instances import Instance
from controller.domain.pods import LivingPod, Pod
from controller.domain.replay_plan import (
    ReplayAction,
    ReplayDecision,
    ReplayItem,
    Requester,
    combine,
    decide_instance,
    is_under_way,
    replay_command,
)
from controller.domain.resolve import Resolution
from controller.domain.stages import Finish
from controller.errors import RegistryError
from controller.flows.finder import Finder
from controller.flows.guard_checks import GuardChecks
from controller.flows.ports import Clock, Registry
from controller.flows.steps import Policy

MAX_CONCURRENT = 32
"""Drains that are judged at a time."""

Place = tuple[str, str]


class LivingPods:
    """The cluster's living pods, as far as whoever plans may list them."""

    def __init__(self, sharing: Callable[[Pod], tuple[LivingPod, ...]], lives: Callable[[str], bool]) -> None:
        self.sharing = sharing
        self.lives = lives


class ReplayPlanner:
    """Judges drains one by one, many at a time."""

    def __init__(
        self,
        *,
        regions: Mapping[str, Registry],
        policy: Policy,
        clock: Clock,
        living: LivingPods | None,
    ) -> None:
        self._regions = regions
        self._policy = policy
        self._clock = clock
        self._living = living
        self._begun_at = clock()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        # How many may go in a minute is the workers' to say, when it comes to that.
        alone = GuardPolicy(last_instance=policy.guard.last_instance, max_percent_per_minute=0)
        self._finders = {name: Finder(registry=registry, policy=policy) for name, registry in regions.items()}
        self._standing = {
            name: GuardChecks(
                region=name, registry=registry, guard=alone, clock=clock, recent_take_outs=RecentTakeOuts()
            )
            for name, registry in regions.items()
        }

    async def plan(
        self,
        records: Sequence[DrainRecord],
        requester: Requester,
        *,
        again: bool,
        told: Callable[[], object] = lambda: None,
    ) -> list[ReplayItem]:
        """Judge these drains. ``again``: also those that a worker still has."""

        async def judge(record: DrainRecord) -> ReplayItem:
            async with self._slots:
                item = await self._of_story(record, requester, again=again)
            told()
            return item

        return list(await asyncio.gather(*(judge(record) for record in records)))

    async def judge(self, command: DrainCommand, *, letter: int | None = None) -> ReplayItem:
        """Judge one command."""
        async with self._slots:
            return await self._of_command(command, letter=letter)

    async def _of_story(self, record: DrainRecord, requester: Requester, *, again: bool) -> ReplayItem:
        item = ReplayItem(
            drain_id=record.drain_id,
            region=record.region,
            pod=record.key,
            apps=record.apps,
            judged=ReplayDecision(verdict=ReplayAction.refuse),
        )
        waiting = None if again else is_under_way(record, requester.at, self._policy.give_up_after)
        if waiting is not None:
            return replace(item, judged=waiting)
        command = replay_command(record, requester)
        if isinstance(command, ReplayDecision):
            return replace(item, judged=command)
        return await self._of_command(command, apps=record.apps)

    async def _of_command(
        self, command: DrainCommand, *, apps: tuple[str, ...] = (), letter: int | None = None
    ) -> ReplayItem:
        if self._living is not None:
            command = replace(command, living=self._living.sharing(command.pod))
        item = ReplayItem(
            drain_id=command.drain_id,
            region=command.region,
            pod=command.pod.key,
            apps=apps,
            judged=ReplayDecision(verdict=ReplayAction.refuse),
            letter=letter,
        )
        try:
            judged, instances = await self._judge(command)
        except (AnnotationError, RegistryError) as error:
            return replace(item, judged=ReplayDecision(verdict=ReplayAction.refuse, reason=str(error)))
        apps = apps or tuple(dict.fromkeys(app for app, _ in instances))
        if judged.verdict is not ReplayAction.drain:
            return replace(item, judged=judged, apps=apps)
        return replace(item, judged=judged, apps=apps, command=command, instances=instances)

    async def _judge(self, command: DrainCommand) -> tuple[ReplayDecision, tuple[Place, ...]]:
        if command.region not in self._regions:
            reason = f"the settings name no nodes for region {command.region}"
            return ReplayDecision(verdict=ReplayAction.refuse, reason=reason), ()
        if self._living is not None and self._living.lives(command.pod.uid):
            return ReplayDecision(verdict=ReplayAction.refuse, reason="the pod itself is alive"), ()
        annotations = read_annotations(command.pod)
        resolution = await self._finders[command.region].find(command, annotations, not_before=self._begun_at)
        judged = [(one, await self._instance(command, annotations, one)) for one in resolution.own]
        judged += [(rejected.instance, _rejected(resolution, rejected.instance)) for rejected in resolution.rejected]
        if not judged:
            return ReplayDecision(
                verdict=ReplayAction.gone, reason="no instance in the region has its address or host name"
            ), ()
        to_drain = tuple((one.app, one.id) for one, what in judged if what.verdict is ReplayAction.drain)
        return combine(what for _, what in judged), to_drain

    async def _instance(self, command: DrainCommand, annotations: PodAnnotations, instance: Instance) -> ReplayDecision:
        now = self._clock()
        target = target_of(instance, now)
        readings = await self._regions[command.region].read(instance.app, instance.id)
        judged = decide_instance(command, annotations, target, readings)
        if judged.verdict is not ReplayAction.drain:
            return judged
        objection = await self._standing[command.region].objection(command, target, readings)
        if isinstance(objection, Finish):
            return ReplayDecision(verdict=ReplayAction.refuse, reason=objection.reason)
        return judged


def _rejected(resolution: Resolution, instance: Instance) -> ReplayDecision:
    rejected = next(one for one in resolution.rejected if one.instance is instance)
    verdict = ReplayAction.superseded if rejected.superseded else ReplayAction.refuse
    return ReplayDecision(verdict=verdict, reason=rejected.reason)
