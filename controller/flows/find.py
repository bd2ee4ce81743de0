"""Which instances does the region hold for this pod? The shared index first, then past the servers' cache by id."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from controller.domain.addressing import unaddressable
from controller.domain.commands import Command
from controller.domain.hints import HintError, Hints, render
from controller.domain.instances import Instance
from controller.domain.resolve import Resolution, resolve
from controller.flows.ports import Registry
from controller.flows.steps import Policy

MOST_LOOKED_UP = 8
"""Ids that are asked for past the cache."""


class Finder:
    """Finds and judges; writes nothing."""

    def __init__(self, *, registry: Registry, policy: Policy) -> None:
        self._registry = registry
        self._policy = policy

    async def find(self, command: Command, hints: Hints, *, not_before: datetime) -> Resolution:
        """Judge every candidate, from an index at least this new. RegistryError when no node answers."""
        found = await self._registry.find(command.pod, not_before=not_before)
        candidates = {(instance.app, instance.id): instance for instance in found.candidates}
        holders = list(found.holders)
        known_ids = {instance.id for instance in found.candidates}
        expected = self._expected_ids(command, hints)
        # Younger than the servers' response cache, or not at the pod's address.
        await self._look_up([one for one in expected if one not in known_ids], candidates, holders)
        resolution = resolve(command, hints, candidates.values(), holders)
        if not resolution.own and known_ids:
            # The pod may have taken an id over that the cache still shows in its predecessor's hands.
            await self._look_up(sorted(known_ids)[:MOST_LOOKED_UP], candidates, holders)
            resolution = resolve(command, hints, candidates.values(), holders)
        return resolution

    async def _look_up(
        self, ids: Iterable[str], candidates: dict[tuple[str, str], Instance], holders: list[Instance]
    ) -> None:
        for instance_id in ids:
            if unaddressable(instance_id):
                continue
            instance = await self._registry.look_up(instance_id)
            if instance is not None:
                candidates[(instance.app, instance.id)] = instance
                holders.append(instance)

    def _expected_ids(self, command: Command, hints: Hints) -> list[str]:
        if hints.instance_id:
            return [hints.instance_id]
        app = hints.app.lower() or command.pod.app_label
        ids = []
        for template in self._policy.instance_id_templates:
            try:
                ids.append(render(template, command.pod, app=app, port=hints.port))
            except HintError:
                continue  # this pod does not tell what the template needs; the index finds it
        return ids
