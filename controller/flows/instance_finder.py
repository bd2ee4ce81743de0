"""Which instances does the region hold for this pod? The shared index first, then past the servers' cache by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from controller.domain.addressing import unaddressable
from controller.domain.annotations import AnnotationError, PodAnnotations, render
from controller.domain.candidates import Resolution, resolve
from controller.domain.commands import DrainCommand
from controller.domain.instances import Instance
from controller.flows.ports import Registry

MAX_LOOKUPS = 8
"""Ids that are asked for past the cache."""


class InstanceFinder:
    """Finds instances, and decides whose they are; writes nothing."""

    def __init__(self, *, registry: Registry, instance_id_templates: Sequence[str]) -> None:
        self._registry = registry
        self._instance_id_templates = instance_id_templates

    async def find(self, command: DrainCommand, annotations: PodAnnotations, *, not_before: datetime) -> Resolution:
        """Decide about every candidate, from an index at least this new. RegistryError when no node answers."""
        found = await self._registry.find(command.pod, not_before=not_before)
        candidates = {(instance.app, instance.id): instance for instance in found.candidates}
        holders = list(found.holders)
        known_ids = {instance.id for instance in found.candidates}
        expected = self._expected_ids(command, annotations)
        # Younger than the servers' response cache, or not at the pod's address.
        await self._look_up([one for one in expected if one not in known_ids], candidates, holders)
        resolution = resolve(command, annotations, candidates.values(), holders)
        if not resolution.own and known_ids:
            # The pod may have taken an id over that the cache still shows in its predecessor's hands.
            await self._look_up(sorted(known_ids)[:MAX_LOOKUPS], candidates, holders)
            resolution = resolve(command, annotations, candidates.values(), holders)
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

    def _expected_ids(self, command: DrainCommand, annotations: PodAnnotations) -> list[str]:
        if annotations.instance_id:
            return [annotations.instance_id]
        app = annotations.app.lower() or command.pod.app_label
        ids = []
        for template in self._instance_id_templates:
            try:
                ids.append(render(template, command.pod, app=app, port=annotations.port))
            except AnnotationError:
                continue  # this pod does not have what the template needs; the index finds it
        return ids
