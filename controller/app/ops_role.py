"""Building the page and the API of ``ops``."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from aiohttp import web

from controller.app.assembly import living_pods, now, policy_of
from controller.app.commands.dead_letter_plan import hold_messages
from controller.app.commands.drains import find_record, read_drains
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Event
from controller.domain.replay_plan import ReplayItem, Requester
from controller.domain.selection import Selection
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.shutdown.verdict import Shutdown
from controller.errors import BrokerError, KubernetesError
from controller.eureka.region import EurekaRegion
from controller.flows.overview import Overview
from controller.flows.replay_planner import ReplayPlanner
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from controller.kube.client import KubeApi
from controller.kube.reviews import Reviews
from controller.ops.auth.authorizer import Authorizer
from controller.ops.auth.refusals import RefusedError
from controller.ops.auth.session import SessionPages
from controller.ops.metrics import Metrics
from controller.ops.web.api import Api
from controller.ops.web.live import Live
from controller.ops.web.markup import environment
from controller.ops.web.pages import Pages, asked_again, mistake_page
from controller.ops.web.replays import Replays
from controller.ops.web.site import MAX_MESSAGES, Site, application
from controller.rabbit.counts import QueueCounter
from controller.rabbit.dead_letter_queue import DeadLetterQueue, DeadMessage
from controller.rabbit.outbox import RabbitOutbox
from controller.rabbit.stream import StreamFollower
from controller.settings import OpsSettings, Settings

MAX_DRAINS = 10_000
"""Drains that the page holds with their timelines; older ones are read from the log when somebody asks."""
EXTRA_LOOKBACK = timedelta(hours=1)


class OpsRole:
    """The parts of ``ops``: what runs, what readiness consists of, and the application that is served."""

    def __init__(
        self,
        settings: Settings,
        *,
        log: StreamFollower[Event],
        ends: StreamFollower[PodEnd],
        outbox: RabbitOutbox,
        metrics: Metrics,
        regions: dict[str, EurekaRegion],
        reviews: Reviews | None,
    ) -> None:
        self._settings = settings
        self._regions = regions
        self._history = DrainIndex(timelines=True, limit=MAX_DRAINS)
        self._live = Live()
        self.counter = QueueCounter(settings.broker)
        self.overview = Overview(
            regions=regions, counter=self.counter, history=self._history, clock=now, watcher=metrics
        )
        self._replays = Replays(plan=self._plan, outbox=outbox, clock=now)
        self._streams = (log, ends)
        self._counting = False
        self._metrics = metrics
        judging = ShutdownVerdicts(self._history, self._judged)
        log.readers += [judging.apply, self._live.apply, self._replays.apply]
        ends.readers += [judging.apply_end, self._live.apply_end]
        log.when_caught_up.append(self._go_live)
        templates = environment()
        gate = self._gate = Authorizer(settings.ops, reviews)
        site = Site(
            settings=settings,
            gate=gate,
            history=self._history,
            overview=self.overview,
            live=self._live,
            replays=self._replays,
            clock=now,
            is_read=lambda: log.caught_up,
            older=self._older,
            find=lambda drain_id: find_record(self._settings, drain_id),
            letters=self._letters,
        )

        async def show(request: web.Request, status: int, text: str) -> web.Response:
            return mistake_page(templates, request, status, text)

        async def ask_again(_: web.Request, after: str, refusal: RefusedError) -> web.Response:
            return await asked_again(templates, after, refusal)

        self.application = application(show)
        signing_in = SessionPages(gate, ask_again, clock=time.monotonic)
        self.application.add_routes([*Pages(site, signing_in, templates).routes(), *Api(site).routes()])

    def renew(self, settings: Settings) -> None:
        """Take over what was rotated: our tokens, and how the broker is reached when somebody asks."""
        self._settings = settings
        self._gate.renew(settings.ops)

    async def finish(self, _: timedelta) -> None:
        """Stop replays between two drains, and send listeners away."""
        await self._replays.close()
        self._live.close()

    def _go_live(self) -> None:
        self._live.open = True

    def _judged(self, record: DrainRecord, shutdown: Shutdown) -> None:
        # What was said before this process began, another one has counted.
        self._counting = self._counting or all(stream.caught_up for stream in self._streams)
        if self._counting:
            self._metrics.judged(record, shutdown)

    async def _plan(self, selection: Selection, requester: Requester, again: bool) -> list[ReplayItem]:
        living, _ = await living_pods(self._settings)
        planner = ReplayPlanner(regions=self._regions, policy=policy_of(self._settings), clock=now, living=living)
        return await planner.plan(await self._older(selection), requester, again=again)

    async def _older(self, selection: Selection) -> list[DrainRecord]:
        since = selection.since or now() - self._settings.broker.events_kept
        history = DrainIndex(limit=200_000)
        await read_drains(self._settings, history, look_back=now() - since + EXTRA_LOOKBACK)
        return history.select(selection)

    async def _letters(self) -> tuple[list[DeadMessage], list[str]]:
        """The dead letters that can be read, and the regions whose cannot."""
        letters: list[DeadMessage] = []
        unreadable: list[str] = []
        for name in self._settings.regions:
            async with DeadLetterQueue(settings=self._settings.broker, region=name) as held:
                try:
                    letters += await hold_messages({name: held}, most=MAX_MESSAGES)
                except BrokerError as error:
                    unreadable.append(str(error))
        return letters, unreadable


async def api_of(settings: Settings, opened: AsyncExitStack) -> KubeApi | None:
    """The API server that can tell whose a token is; None outside a cluster, where the settings' tokens are left."""
    if not settings.ops.kubernetes:
        return None
    with suppress(KubernetesError):
        return await opened.enter_async_context(KubeApi())
    return None


def has_tokens(settings: OpsSettings) -> bool:
    """Whether people can be let in without the API server."""
    return bool(settings.viewer_token.get_secret_value() or settings.operator_token.get_secret_value())
