"""What came up beside a rollout's pods, asked of the registry for whoever looks; the same answer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Protocol

from loguru import logger

from controller.domain.arrivals import Arrival, arrivals_of
from controller.domain.bounded_map import BoundedMap
from controller.domain.rollouts import Rollout
from controller.errors import RegistryError
from controller.ops.shared_answer import SharedAnswer

LASTS = 10.0
"""Seconds for which an answer is given again; a node's own list is up to 30 s old."""
NODE_TIMEOUT = 2.0
"""Seconds for which a page waits: what it is for does not depend on this."""
MAX_APPS = 1_000
"""Apps whose answers are kept."""
MAX_APPS_OF_A_ROLLOUT = 4
"""Regions and apps that are asked for one rollout."""


class AskedRegion(Protocol):
    """A region's nodes."""

    async def arrivals(self, app: str) -> tuple[Arrival, ...]:
        """Return which instances of an app say UP. RegistryError when no node answers."""
        ...


class Arrivals:
    """Asks each app of each region once for all who look."""

    def __init__(self, regions: Mapping[str, AskedRegion]) -> None:
        self._regions = regions
        self._answers: BoundedMap[tuple[str, str], SharedAnswer[tuple[Arrival, ...]]] = BoundedMap(MAX_APPS)

    async def of(self, rollout: Rollout) -> list[tuple[datetime, Arrival]]:
        """Return what came up in a rollout's time; nothing of a region where no node answers: its state says that."""
        places = dict.fromkeys((drain.region, app) for drain in rollout.drains for app in drain.apps)
        known = islice((place for place in places if place[0] in self._regions), MAX_APPS_OF_A_ROLLOUT)
        found = await asyncio.gather(*map(self._ask, known))
        return arrivals_of(rollout, {one.id: one for answer in found for one in answer}.values())

    async def _ask(self, place: tuple[str, str]) -> tuple[Arrival, ...]:
        region, app = place
        answer = self._answers.get(place)
        if answer is None:
            answer = self._answers[place] = SharedAnswer(partial(self._regions[region].arrivals, app), lasts=LASTS)
        try:
            async with asyncio.timeout(NODE_TIMEOUT):
                return await answer.get()
        except TimeoutError:
            why = "no answer yet"  # it may come for whoever looks next
        except RegistryError as error:
            why = str(error)
        logger.bind(region=region, app=app, error=why).debug("nobody says which instances came up")
        return ()
