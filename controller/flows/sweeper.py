"""One pass over the registries: what has no living pod behind it, in two looks further apart than a heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from loguru import logger

from controller.bounds import MAX_TEXT_LENGTH
from controller.domain.instances import STOCK_RENEWAL_INTERVAL, Readings
from controller.domain.orphans import (
    LivingAddresses,
    Orphan,
    Provenance,
    Suspect,
    command_of,
    confirm_suspect,
    suspects,
)
from controller.domain.pods import Pod
from controller.domain.silence import silence_of
from controller.domain.sweep_report import SweepFinding, SweepReport, named
from controller.errors import RegistryError
from controller.flows.ports import Clock, Registry
from controller.flows.publisher import Publisher

MAX_CONCURRENT_READS = 32
"""Instances that are read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What one pass came to."""

    findings: list[Orphan] = field(default_factory=list)
    incomplete: Mapping[str, str] = field(default_factory=dict)
    """Regions about which nothing can be concluded, and why."""
    looked_at: datetime

    @property
    def silent(self) -> list[Orphan]:
        """Findings that nothing speaks for."""
        return [finding for finding in self.findings if not finding.doubt]


Place = tuple[str, str, str]
"""Region, app and instance id."""


class Sweeper:
    """Finds; and sends the drains of what was found, when it is asked to."""

    def __init__(
        self,
        *,
        census: Callable[[], Awaitable[Sequence[Pod]]],
        regions: Mapping[str, Registry],
        provenance: Provenance,
        clock: Clock,
        cluster: str,
    ) -> None:
        self._census = census
        self._regions = regions
        self._provenance = provenance
        self._clock = clock
        self._cluster = cluster
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

    async def look(self) -> SweepResult:
        """Look twice at each. KubernetesError when the pods cannot be listed completely, each time.

        The registries are listed twice as well: a server's list is up to half a minute old, and lacks who is younger.
        """
        incomplete: dict[str, str] = {}
        first: dict[Place, tuple[Suspect, Readings]] = {}
        looked_at = self._clock()
        for _ in range(2):
            fresh = [one for one in await self._suspects(incomplete) if _place(one) not in first]
            if first and not fresh:
                break
            first |= {_place(one): (one, seen) for one, seen in zip(fresh, await self._read(fresh), strict=True)}
            looked_at = self._clock()
            intervals = [one.instance.renewal_interval for one in fresh]
            silence = max(silence_of(interval) for interval in (*intervals, STOCK_RENEWAL_INTERVAL))
            logger.bind(suspects=len(first), seconds=silence.total_seconds()).info(
                "looked; waiting for a heartbeat's time"
            )
            await asyncio.sleep(silence.total_seconds())
        suspected = [one for one, _ in first.values()]
        second = await self._read(suspected)
        living = LivingAddresses(await self._census())
        orphans = [
            confirm_suspect(one, before, now, living, whole=one.region not in incomplete)
            for (one, before), now in zip(first.values(), second, strict=True)
        ]
        return SweepResult(
            findings=orphans,
            incomplete=incomplete,
            looked_at=looked_at,
        )

    async def _suspects(self, incomplete: dict[str, str]) -> list[Suspect]:
        pods = await self._census()
        found: list[Suspect] = []
        for name, registry in self._regions.items():
            try:
                found += suspects(name, await registry.everything(), pods, self._provenance)
            except RegistryError as error:
                incomplete[name] = str(error)
        return found

    async def send(self, done: SweepResult, publisher: Publisher) -> int:
        """Send the drain of each finding that nothing speaks for; gives their number."""
        commands = [command_of(finding, self._cluster, done.looked_at, self._clock()) for finding in done.silent]
        for command in commands:
            await publisher.send(command)
        return len(commands)

    def reports(self, done: SweepResult, *, drained: bool) -> list[SweepReport]:
        """Return what the pass came to, region by region, for the event log. ``drained``: whether drains were sent."""
        return [self._report(name, done, drained=drained) for name in self._regions]

    def _report(self, region: str, done: SweepResult, *, drained: bool) -> SweepReport:
        # What is to be looked at comes first, for not all may be named.
        found = sorted((one for one in done.findings if one.suspect.region == region), key=lambda one: bool(one.doubt))
        silent = sum(not one.doubt for one in found)
        return SweepReport(
            cluster=self._cluster,
            region=region,
            at=done.looked_at,
            silent=silent,
            doubtful=len(found) - silent,
            drained=drained,
            incomplete=done.incomplete.get(region, "")[:MAX_TEXT_LENGTH],
            findings=named(map(_finding_of, found)),
        )

    async def _read(self, suspected: Sequence[Suspect]) -> list[Readings]:
        async def read(suspect: Suspect) -> Readings:
            async with self._slots:
                return await self._regions[suspect.region].read(suspect.instance.app, suspect.instance.id)

        return list(await asyncio.gather(*(read(suspect) for suspect in suspected)))


def _finding_of(orphan: Orphan) -> SweepFinding:
    suspect = orphan.suspect
    return SweepFinding(
        app=suspect.instance.app,
        instance_id=suspect.instance.id,
        ip=suspect.instance.ip,
        status=suspect.instance.status,
        namespace=suspect.namespace,
        pod=suspect.pod,
        evidence=suspect.evidence[:MAX_TEXT_LENGTH],
        doubt=orphan.doubt[:MAX_TEXT_LENGTH],
    )


def _place(suspect: Suspect) -> Place:
    return suspect.region, suspect.instance.app, suspect.instance.id
