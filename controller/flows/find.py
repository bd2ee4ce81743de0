"""Which instances does the region hold for this pod? The shared index first, then past the servers' cache by id."""

from __future__ import annotations

from datetime import datetime

from controller.domain.commands import Command
from controller.domain.hints import HintError, Hints, render
from controller.domain.resolve import Resolution, resolve
from controller.flows.ports import Registry
from controller.flows.steps import Policy


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
        for instance_id in self._expected_ids(command, hints):
            if instance_id not in known_ids:
                # Younger than the servers' response cache, or not at the pod's address.
                instance = await self._registry.look_up(instance_id)
                if instance is not None:
                    candidates[(instance.app, instance.id)] = instance
                    holders.append(instance)
        return resolve(command, hints, candidates.values(), holders)

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
