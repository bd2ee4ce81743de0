"""Instances that came up while pods of the same app went: what a rollout put in their place. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.domain.rollouts import STEP_TIMEOUT, Rollout

EARLIER = timedelta(minutes=5)
"""How long before a rollout's first deletion the first new pod may have come up: a Deployment waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An instance that says UP, and since when, on our clock, by one node's word."""

    app: str
    id: str
    registered_at: datetime | None
    up_at: datetime | None
    """When the node first heard it say UP; under an id that another process has had, maybe that one."""


def arrivals_of(rollout: Rollout, instances: Iterable[Arrival]) -> list[tuple[datetime, Arrival]]:
    """Return which of an app's instances came up in a rollout's time, and when, the first one first."""
    since, until = rollout.began_at - EARLIER, rollout.last_began_at + STEP_TIMEOUT
    found = []
    for one in instances:
        times = [at for at in (one.up_at, one.registered_at) if at is not None and since <= at <= until]
        if times:
            found.append((times[0], one))
    return sorted(found, key=lambda arrival: (arrival[0], arrival[1].id))
