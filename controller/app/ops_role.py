"""Build the page and the API of ``ops``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from controller.app.assembly import Region, make_planner, now
from controller.app.commands.dead_letters import dead_letter_queues
from controller.app.commands.drains import find_records, read_selected
from controller.app.dead_listing import LOOK_INTERVAL, look_at_dead_letters
from controller.app.items_by_hand import drain_ids_of, drains_by_hand, restores_by_hand
from controller.app.log_reads import LogReads
from controller.domain.commands import DrainCommand, RestoreCommand, WorkItem
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import LogEntry
from controller.domain.replay_plan import ReplayItem, Requester
from controller.domain.selection import Selection, SelectionError
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import Shutdown
from controller.domain.sweep_report import LatestSweeps
from controller.errors import BrokerError, DeclinedError, KubernetesError
from controller.flows.overview import Overview
from controller.flows.publisher import Publisher
from controller.flows.replay_runs import ReplayRuns
from controller.flows.requeue import Settlement, settle_each
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from controller.kube.client import KubeApi
from controller.kube.reviews import Reviews
from controller.ops.auth.authorizer import Authorizer
from controller.ops.auth.session import SessionPages
from controller.ops.metrics import Metrics
from controller.ops.shared_answer import SharedAnswer
from controller.ops.shared_arrivals import Arrivals
from controller.ops.web.markup import environment
from controller.ops.web.pages import mistake_page, sign_in_page
from controller.ops.web.routes import routes_of
from controller.ops.web.server_sent_events import Live
from controller.ops.web.site import Site, application
from controller.rabbit.counts import QueueCounter
from controller.rabbit.dead_letter_queue import LockWait
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.stream import StreamFollower
from controller.settings import OpsSettings, Settings

MAX_DRAINS = 10_000
"""Drains that the page holds with their timelines; older ones are read from the log when somebody asks."""
MAX_OLD_DRAINS = 200_000
"""Drains that are read from the log for one request."""
SETTLE_TIMEOUT = timedelta(seconds=15)
"""After which the rest of the dead letters is left to another request: each of them ends in time."""
SETTLING = LockWait(timeout=5.0, interval=0.05)
"""How a request waits for whoever else handles them."""
T = TypeVar("T")
MakeItems = Callable[[Settings, tuple[str, str], Requester], Awaitable[list[DrainCommand] | list[RestoreCommand]]]


class OpsRole:
    """The parts of ``ops``: what runs, what readiness consists of, and the application that is served."""

    def __init__(
        self,
        settings: Settings,
        *,
        log: StreamFollower[LogEntry],
        ends: StreamFollower[PodEnd],
        drains: DrainIndex,
        sweeps: LatestSweeps,
        verdicts: ShutdownVerdicts,
        outbox: RabbitOutbox,
        metrics: Metrics,
        regions: dict[str, Region],
        reviews: Reviews | None,
    ) -> None:
        self._settings = settings
        self._regions = regions
        self._live = Live()
        self.counter = QueueCounter(settings.broker)
        self.overview = Overview(regions=regions, counter=self.counter, history=drains, clock=now, watcher=metrics)
        self._publisher = Publisher(outbox=outbox, clock=now)
        self._replay_runs = ReplayRuns(plan=self._plan, publisher=self._publisher, clock=now)
        self._streams = (log, ends)
        self._counting = False
        self._with_pods = asyncio.Semaphore(1)
        """For what holds the cluster's pods, or reads the log for a person."""
        self._sending: set[asyncio.Task[Any]] = set()
        self._metrics = metrics
        verdicts.readers.append(self._count)
        log.readers += [self._live.apply, self._replay_runs.apply]
        ends.readers.append(self._live.apply_end)
        log.when_caught_up.append(self._go_live)
        self._log_reads = LogReads(lambda ids: find_records(self._settings, ids), self._read_older)
        self._dead_letters = SharedAnswer(lambda: look_at_dead_letters(self._settings), lasts=LOOK_INTERVAL)
        templates = environment(settings.ops.audiences)
        self._authorizer = Authorizer(settings.ops, reviews)
        site = Site(
            settings=settings,
            authorizer=self._authorizer,
            drains=drains,
            sweeps=sweeps,
            overview=self.overview,
            live=self._live,
            replay_runs=self._replay_runs,
            clock=now,
            is_read=lambda: log.caught_up,
            read_older=self._log_reads.older,
            find=self._log_reads.find,
            drain_by_hand=partial(self._by_hand, drains_by_hand),
            restore_by_hand=partial(self._by_hand, restores_by_hand),
            arrivals=Arrivals(regions).of,
            dead_messages=self._dead_letters.get,
            settle_dead=self._settle_dead,
        )

        session = SessionPages(self._authorizer, partial(sign_in_page, templates))
        self.application = application(partial(mistake_page, templates), settings.ops)
        self.application.add_routes(routes_of(site, session, templates))

    def rotate_credentials(self, settings: Settings) -> None:
        """Use settings that were rotated: our tokens, and how the broker is reached when somebody asks."""
        self._settings = settings
        self._authorizer.rotate_credentials(settings.ops)

    async def finish(self, within: timedelta) -> None:
        """Stop replays between two drains, send listeners away, and see what was sent written down."""
        await self._replay_runs.close()
        await asyncio.gather(*self._sending, return_exceptions=True)
        self._live.close()
        await self._log_reads.close()
        await self._publisher.finish(within)

    def _go_live(self) -> None:
        self._live.open = True

    def _count(self, record: DrainRecord, shutdown: Shutdown) -> None:
        # Verdicts from before this process began were counted by another one.
        self._counting = self._counting or all(stream.caught_up for stream in self._streams)
        if self._counting:
            self._metrics.shut_down(record, shutdown)

    async def _plan(self, selection: Selection, requester: Requester, again: bool) -> list[ReplayItem]:
        async with self._with_pods:
            planner, _ = await make_planner(self._settings, self._regions)
            return await planner.plan(await self._log_reads.older(selection), requester, again=again)

    async def _by_hand(self, make: MakeItems, key: tuple[str, str], requester: Requester) -> Collection[str]:
        if not self._settings.ops.kubernetes:
            raise DeclinedError("ops.kubernetes is off, so pods are not read here: use the command of eureka-drain")
        async with self._with_pods:
            items = await make(self._settings, key, requester)
        return await self._to_its_end(self._send_by_hand(items))

    async def _to_its_end(self, sends: Coroutine[Any, Any, T]) -> T:
        """Wait for what a person asked for; whoever has gone meanwhile, it is not cut off between send and record."""
        sending = asyncio.create_task(sends, name="send for a person")
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return await asyncio.shield(sending)

    async def _send_by_hand(self, items: Sequence[WorkItem]) -> Collection[str]:
        for number, item in enumerate(items):
            try:
                await self._publisher.send(item)
            except BrokerError as error:
                done = f"; sent to {', '.join(one.region for one in items[:number])} all the same" if number else ""
                raise BrokerError(f"{error}{done}") from error
        return drain_ids_of(items)

    async def _settle_dead(self, selection: Selection, requester: Requester, drops: bool) -> Settlement:
        regions = [selection.region] if selection.region else list(self._settings.regions)
        if selection.region not in ("", *self._settings.regions):
            known = ", ".join(self._settings.regions)
            raise SelectionError(f"region: {selection.region[:63]!r} is none of the settings; known are {known}")

        async def settle() -> Settlement:
            async with AsyncExitStack() as opened:
                queues = await dead_letter_queues(self._settings, regions, opened, lock_wait=SETTLING)
                return await settle_each(
                    queues,
                    selection,
                    requester,
                    drops=drops,
                    publisher=self._publisher,
                    clock=now,
                    within=SETTLE_TIMEOUT,
                )

        return await self._to_its_end(settle())

    async def _read_older(self, selection: Selection) -> list[DrainRecord]:
        return await read_selected(self._settings, selection, limit=MAX_OLD_DRAINS)


async def api_of(settings: Settings, opened: AsyncExitStack) -> KubeApi | None:
    """Return the API server that knows whose a token is; None outside a cluster: only the settings' tokens count."""
    if not settings.ops.kubernetes:
        return None
    with suppress(KubernetesError):
        return await opened.enter_async_context(KubeApi())
    return None


def has_tokens(settings: OpsSettings) -> bool:
    """Return whether people can sign in without the API server."""
    return bool(settings.viewer_token.get_secret_value() or settings.operator_token.get_secret_value())
