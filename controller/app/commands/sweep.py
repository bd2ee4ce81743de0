"""``sweep``: one pass over the registries."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from ipaddress import ip_network

from loguru import logger

from controller.app.assembly import event_log, now, open_regions, read_log
from controller.app.exit_status import FAILED, finished, terminal_width
from controller.domain.orphans import Provenance
from controller.errors import SettingsError
from controller.flows.sweeper import Sweeper, SweepResult
from controller.kube.client import KubeApi
from controller.kube.listing import Census
from controller.ops.tables import findings_table
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings
from controller.signals import beside
from controller.tls.context import access_to


def sweep(settings: Settings, *, dry_run: bool) -> int:
    """One pass: a table on stdout, what it means on stderr; the exit status."""
    if not settings.regions:
        raise SettingsError(["regions: none is configured; there is nothing to sweep"])
    access_to(settings, settings.regions)  # a file that cannot be used is told before anything is waited for
    ended = finished(_pass(settings, dry_run=dry_run))
    if ended is FAILED:
        return 1
    done, sent = ended
    found = [finding for finding in done.findings if not finding.doubt]
    print(findings_table(done.findings, width=terminal_width()), end="")
    told = f"{len(done.findings)} without a living pod, {len(found)} of them to be drained"
    print(told + (f"; {sent} drains sent" if sent is not None else "; nothing was changed"), file=sys.stderr)
    for gap in done.incomplete:
        print(f"not complete, nothing concluded: {gap}", file=sys.stderr)
    return 1 if done.incomplete else 0


async def _pass(settings: Settings, *, dry_run: bool) -> tuple[SweepResult, int | None]:
    """One pass; what was found, and how many drains were sent (None: none were to be)."""
    evidence = Provenance(settings.watch.cluster, [ip_network(text) for text in settings.sweep.pod_cidrs])
    log = event_log(settings, look_back=settings.broker.events_kept)
    log.readers.append(evidence.apply)
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(beside(log.link.run))
        await read_log(log)
        census = Census(
            await opened.enter_async_context(KubeApi()),
            namespaces=settings.watch.namespaces,
            page_size=settings.watch.page_size,
        )
        regions = await open_regions(settings, opened)
        sweep = Sweeper(
            census=census.take, regions=regions, evidence=evidence, clock=now, cluster=settings.watch.cluster
        )
        if not await census.is_whole() and settings.sweep.pod_cidrs:
            logger.warning("pods of other namespaces cannot be listed: pod_cidrs is not used, only the event log")
            evidence.distrust_addresses()
        done = await sweep.look()
        if dry_run or settings.sweep.policy != "drain":
            return done, None
        outbox = RabbitOutbox(settings=settings.broker, regions=regions)
        await opened.enter_async_context(beside(outbox.link.run))
        return done, await sweep.send(done, outbox)
