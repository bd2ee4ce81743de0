"""A replay's plan: what would come of each drain if it were asked for again. Reads registries; writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from controller.domain.commands import Command, target_of
from controller.domain.drain import Finish
from controller.domain.hints import HintError, Hints, read_hints
from controller.domain.instances import Instance
from controller.domain.pods import LivingPod, Pod
from controller.domain.replay import (
    Asker,
    Item,
    Judged,
    Verdict,
    command_again,
    first_of,
    is_under_way,
    judge_instance,
)
from controller.domain.resolve import Resolution
from controller.domain.standing import Guard, TakenLately
from controller.domain.story import Story
from controller.errors import RegistryError
from controller.flows.find import Finder
from controller.flows.ports import Clock, Registry
from controller.flows.standing import Standing
from controller.flows.steps import Policy

AT_ONCE = 32
"""Drains that are judged at a time."""

Place = tuple[str, str]


class Living:
    """The cluster's living pods, as far as whoever plans may list them."""

    def __init__(self, sharing: Callable[[Pod], tuple[LivingPod, ...]], lives: Callable[[str], bool]) -> None:
        self.sharing = sharing
        self.lives = lives


class Planner:
    """Judges drains one by one, many at a time."""

    def __init__(
        self,
        *,
        regions: Mapping[str, Registry],
        policy: Policy,
        clock: Clock,
        living: Living | None,
    ) -> None:
        self._regions = regions
        self._policy = policy
        self._clock = clock
        self._living = living
        self._begun_at = clock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        # How many may go in a minute is the workers' to say, when it comes to that.
        alone = Guard(last_instance=policy.guard.last_instance, percent_a_minute=0)
        self._finders = {name: Finder(registry=registry, policy=policy) for name, registry in regions.items()}
        self._standing = {
            name: Standing(region=name, registry=registry, guard=alone, clock=clock, taken_lately=TakenLately())
            for name, registry in regions.items()
        }

    async def plan(
        self, stories: Sequence[Story], asker: Asker, *, again: bool, told: Callable[[], object] = lambda: None
    ) -> list[Item]:
        """Judge these drains. ``again``: also those that a worker still has."""

        async def judge(story: Story) -> Item:
            async with self._slots:
                item = await self._of_story(story, asker, again=again)
            told()
            return item

        return list(await asyncio.gather(*(judge(story) for story in stories)))

    async def judge(self, command: Command, *, letter: int | None = None) -> Item:
        """Judge one command."""
        async with self._slots:
            return await self._of_command(command, letter=letter)

    async def _of_story(self, story: Story, asker: Asker, *, again: bool) -> Item:
        item = Item(
            drain_id=story.drain_id,
            region=story.region,
            pod=story.key,
            apps=story.apps,
            judged=Judged(verdict=Verdict.refuse),
        )
        waiting = None if again else is_under_way(story, asker.at, self._policy.give_up_after)
        if waiting is not None:
            return replace(item, judged=waiting)
        command = command_again(story, asker)
        if isinstance(command, Judged):
            return replace(item, judged=command)
        return await self._of_command(command, apps=story.apps)

    async def _of_command(self, command: Command, *, apps: tuple[str, ...] = (), letter: int | None = None) -> Item:
        if self._living is not None:
            command = replace(command, living=self._living.sharing(command.pod))
        item = Item(
            drain_id=command.drain_id,
            region=command.region,
            pod=command.pod.key,
            apps=apps,
            judged=Judged(verdict=Verdict.refuse),
            letter=letter,
        )
        try:
            judged, instances = await self._judge(command)
        except (HintError, RegistryError) as error:
            return replace(item, judged=Judged(verdict=Verdict.refuse, reason=str(error)))
        apps = apps or tuple(dict.fromkeys(app for app, _ in instances))
        if judged.verdict is not Verdict.drain:
            return replace(item, judged=judged, apps=apps)
        return replace(item, judged=judged, apps=apps, command=command, instances=instances)

    async def _judge(self, command: Command) -> tuple[Judged, tuple[Place, ...]]:
        if command.region not in self._regions:
            reason = f"the settings name no nodes for region {command.region}"
            return Judged(verdict=Verdict.refuse, reason=reason), ()
        if self._living is not None and self._living.lives(command.pod.uid):
            return Judged(verdict=Verdict.refuse, reason="the pod itself is alive"), ()
        hints = read_hints(command.pod)
        resolution = await self._finders[command.region].find(command, hints, not_before=self._begun_at)
        judged = [(one, await self._instance(command, hints, one)) for one in resolution.own]
        judged += [(rejected.instance, _rejected(resolution, rejected.instance)) for rejected in resolution.rejected]
        if not judged:
            return Judged(verdict=Verdict.gone, reason="no instance in the region has its address or host name"), ()
        to_drain = tuple((one.app, one.id) for one, what in judged if what.verdict is Verdict.drain)
        return first_of(what for _, what in judged), to_drain

    async def _instance(self, command: Command, hints: Hints, instance: Instance) -> Judged:
        now = self._clock()
        target = target_of(instance, now)
        readings = await self._regions[command.region].read(instance.app, instance.id)
        judged = judge_instance(command, hints, target, readings)
        if judged.verdict is not Verdict.drain:
            return judged
        objection = await self._standing[command.region].objection(command, target, readings)
        if isinstance(objection, Finish):
            return Judged(verdict=Verdict.refuse, reason=objection.reason)
        return judged


def _rejected(resolution: Resolution, instance: Instance) -> Judged:
    rejected = next(one for one in resolution.rejected if one.instance is instance)
    verdict = Verdict.superseded if rejected.superseded else Verdict.refuse
    return Judged(verdict=verdict, reason=rejected.reason)
