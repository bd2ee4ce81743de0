"""Which instances does the region hold for this pod? The shared index first, then past the servers' cache by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from controller.domain.addressing import unaddressable
from controller.domain.annotations import AnnotationError, PodAnnotations, render
from controller.domain.candidates import Resolution, resolve
from controller.domain.commands import DrainCommand
from controller.errors import RegistryError
from controller.flows.ports import IndexMatch, Registry

MAX_LOOKUPS = 8
"""Ids that are asked for past the cache."""


class InstanceFinder:
    """Finds instances, and decides whose they are; writes nothing."""

    def __init__(self, *, registry: Registry, instance_id_templates: Sequence[str]) -> None:
        self._registry = registry
        self._instance_id_templates = instance_id_templates

    async def find(
        self, command: DrainCommand, annotations: PodAnnotations, *, not_before: datetime, by_id: bool = True
    ) -> Resolution:
        """Decide about every candidate, from an index at least this new. RegistryError when no node answers.

        ``by_id``: ask also past the servers' caches, by the ids that the pod may have.
        """
        found = await self._registry.find(command.pod, not_before=not_before)
        if not by_id:
            return replace(resolve(command, annotations, found.candidates, found.holders), missing=found.missing)
        known_ids = {instance.id for instance in found.candidates}
        # Younger than the servers' response cache, or not at the pod's address.
        expected = [one for one in self._expected_ids(command, annotations) if one not in known_ids]
        found = await self._with_looked_up(found, expected)
        resolution = resolve(command, annotations, found.candidates, found.holders)
        if not resolution.own and known_ids:
            # The pod may have taken an id over that the cache still shows in its predecessor's hands.
            found = await self._with_looked_up(found, sorted(known_ids)[:MAX_LOOKUPS])
            resolution = resolve(command, annotations, found.candidates, found.holders)
        return replace(resolution, missing=found.missing)

    async def _with_looked_up(self, found: IndexMatch, ids: Iterable[str]) -> IndexMatch:
        """Add what the nodes say directly; a node that does not answer may hold what was not found."""
        fresh, missing = [], []
        for instance_id in ids:
            if unaddressable(instance_id):
                continue
            try:
                instance = await self._registry.look_up(instance_id)
            except RegistryError as error:
                missing.append(error.reason)
            else:
                fresh += [instance] if instance is not None else []
        return replace(
            found,
            candidates=(*found.candidates, *fresh),
            holders=(*found.holders, *fresh),
            missing=(*found.missing, *missing),
        )

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
