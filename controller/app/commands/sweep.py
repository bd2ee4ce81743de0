"""``sweep``: one pass over the registries."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from ipaddress import ip_network

from loguru import logger

from controller.app.assembly import event_log, now, open_outbox, open_regions, read_log, see_written
from controller.domain.orphans import Provenance
from controller.domain.sweep_report import SweepReport
from controller.errors import BrokerError, SettingsError
from controller.flows.publisher import Publisher
from controller.flows.sweeper import Sweeper, SweepResult
from controller.kube.client import KubeApi
from controller.kube.listing import Census
from controller.ops.tables import orphans_table
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings
from controller.signals import beside
from controller.terminal import report, terminal_width
from controller.tls.context import access_to


async def sweep(settings: Settings, *, dry_run: bool) -> int:
    """Make one pass: print a table, report what it means, and return the exit status."""
    if not settings.regions:
        raise SettingsError(["regions: none is configured; there is nothing to sweep"])
    access_to(settings, settings.regions)  # a file that cannot be used is reported before anything is waited for
    done, sent, is_recorded = await _pass(settings, dry_run=dry_run)
    print(orphans_table(done.findings, width=terminal_width()), end="")
    changes = "nothing was changed" if sent is None else f"{sent} drains sent"
    report(f"{len(done.findings)} without a living pod, {len(done.silent)} of them to be drained; {changes}")
    for region, why in done.incomplete.items():
        report(f"not complete, nothing concluded: region {region}: {why}")
    return 1 if done.incomplete or not is_recorded else 0


async def _pass(settings: Settings, *, dry_run: bool) -> tuple[SweepResult, int | None, bool]:
    """Return what one pass found; how many drains were sent (None: none were to be); and whether the log has it."""
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
            census=census.take, regions=regions, provenance=evidence, clock=now, cluster=settings.watch.cluster
        )
        if not await census.is_whole() and settings.sweep.pod_cidrs:
            logger.warning("pods of other namespaces cannot be listed: pod_cidrs is not used, only the event log")
            evidence.distrust_addresses()
        done = await sweep.look()
        if dry_run:
            return done, None, True
        outbox = await open_outbox(settings, opened)
        sent = None
        if settings.sweep.policy == "drain":
            publisher = Publisher(outbox=outbox, clock=now)
            opened.push_async_callback(see_written, publisher)
            sent = await sweep.send(done, publisher)
        return done, sent, await _record(sweep.reports(done, drained=sent is not None), outbox)


async def _record(reports: Iterable[SweepReport], outbox: RabbitOutbox) -> bool:
    """Append what was found to the event log, for the page and the metrics of ``ops``; return whether it has all."""
    try:
        for one in reports:
            await outbox.record_sweep(one)
    except BrokerError as error:
        report(f"the event log does not take what was found, so the page of ops does not show it: {error}")
        return False
    return True
