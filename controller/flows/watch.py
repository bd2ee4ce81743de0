"""The watch: what the API server says goes into the tracker, and what is due goes to the broker.

Two tasks share one tracker. ``observe`` only notes; ``publish`` only sends, and confirms to the tracker. So a broker
that is away never slows the watch, and a pod stays due until the broker has its command. Beside them, what the event
log says is held against the living pods (flows/takeovers) and against the commands that were sent (flows/resend), and
told to the pods themselves (flows/pod_events); what was removed while nobody watched is asked for at the start
(flows/resume); and when drained pods ended is told to whoever judges how it went (flows/end_publisher).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import assert_never

from loguru import logger

from controller.domain.events import Outcome, make_event
from controller.domain.intervals import backoff
from controller.domain.ledger import Ledger
from controller.domain.routing import Publish, Refuse, Routing, make_commands
from controller.domain.tracking import Due, Tracker
from controller.errors import BrokerError
from controller.flows.end_publisher import EndPublisher, contain_errors_about
from controller.flows.pod_events import PodEvents
from controller.flows.ports import (
    Alive,
    Changed,
    Clock,
    EventLog,
    EventRecorder,
    Listed,
    Observer,
    Outbox,
    PodFeed,
    Removed,
    Unselected,
)
from controller.flows.priority import PriorityGate
from controller.flows.recorder import Recorder
from controller.flows.resend import Resender
from controller.flows.resume import Resume
from controller.flows.takeovers import Takeovers

MAX_UNDER_WAY = 5_000
"""Pods whose commands are under way together; the broker's confirms arrive in batches."""
MAX_BACKOFF = timedelta(seconds=5)


class Watch:
    """The Kubernetes side of the story."""

    def __init__(
        self,
        *,
        feeds: list[PodFeed],
        outbox: Outbox,
        routing: Routing,
        clock: Clock,
        observer: Observer,
        priority: PriorityGate,
        ledger: Ledger,
        log: EventLog,
        positions: EventLog,
        event_recorder: EventRecorder | None = None,
    ) -> None:
        """Without a ``noticeboard`` pods are told nothing."""
        self._feeds = feeds
        self._outbox = outbox
        self._routing = routing
        self._clock = clock
        self._observer = observer
        self._priority = priority
        self._recorder = Recorder(outbox=outbox, observer=observer, priority=priority)
        self._tracker = Tracker()
        self.takeovers = Takeovers(
            cluster=routing.cluster, tracker=self._tracker, ledger=ledger, log=log, outbox=outbox
        )
        self._ends = EndPublisher(routing=routing, outbox=outbox, priority=priority, clock=clock)
        self.resume = Resume(
            feeds=feeds,
            tracker=self._tracker,
            ends=self._ends,
            ledger=ledger,
            log=log,
            positions=positions,
            outbox=outbox,
            routing=routing,
            clock=clock,
        )
        self._resender = Resender(ledger=ledger, log=log, outbox=outbox, clock=clock)
        self.pod_events: PodEvents | None = None
        if event_recorder is not None:
            self.pod_events = PodEvents(
                cluster=routing.cluster,
                scopes=[feed.scope for feed in feeds],
                event_recorder=event_recorder,
                is_there=self._tracker.has,
                clock=clock,
            )
        self._wake = asyncio.Event()
        self._listed: set[int] = set()
        self._all_listed = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    @property
    def ready(self) -> bool:
        """True once every feed has given its first list."""
        return len(self._listed) == len(self._feeds)

    async def run(self) -> None:
        """Observe and publish, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for number, feed in enumerate(self._feeds):
                tasks.create_task(self._observe(number, feed), name=f"observe-{number}")
            tasks.create_task(self._publish(), name="publish")
            tasks.create_task(self.takeovers.run(), name="restore")
            tasks.create_task(self._resender.run(), name="chase")
            tasks.create_task(self._ends.run(), name="ends")
            tasks.create_task(self._resume(), name="resume")
            if self.pod_events:
                tasks.create_task(self._tell(self.pod_events), name="tell")

    async def _tell(self, pod_events: PodEvents) -> None:
        await self._all_listed.wait()  # only then is it known which pods are there
        await pod_events.run()

    async def _resume(self) -> None:
        await self._all_listed.wait()
        if await self.resume.take_up():
            self._wake.set()
        await self.resume.keep_recording()

    async def finish(self, within: timedelta) -> None:
        """Give what is under way this long to be confirmed; what is left is seen again by whoever watches next."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=within.total_seconds())

    async def _observe(self, number: int, feed: PodFeed) -> None:
        async for sighting in feed.follow():
            now = self._clock()
            match sighting:
                case Listed(scope=scope, pods=pods):
                    vanished = self._tracker.listed(scope, pods, now)
                    with contain_errors_about(*vanished):
                        self._ends.listed(pods, vanished)
                    self._listed.add(number)
                    if self.ready:
                        self._all_listed.set()
                    for pod in pods:
                        self.takeovers.seen(pod)
                case Changed(pod=pod, stay=stay):
                    self._tracker.changed(pod, now)
                    self.takeovers.seen(pod)
                    with contain_errors_about(pod):
                        self._ends.changed(pod, stay)
                case Removed(pod=pod, stay=stay):
                    self._tracker.removed(pod, now)
                    with contain_errors_about(pod):
                        self._ends.removed(pod, stay)
                case Unselected(uid=uid):
                    self._tracker.forget(uid)
                case Alive():
                    pass
                case _:
                    assert_never(sighting)
            if self._tracker.backlog:
                self._wake.set()
            self._observer.tracked(len(self._tracker), self._tracker.backlog)

    async def _publish(self) -> None:
        """Keep up to AT_ONCE pods under way; each task ends only when its pod is confirmed."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for due in self._tracker.due():
                    if len(self._under_way) >= MAX_UNDER_WAY:
                        break
                    if due.pod.uid not in self._under_way:
                        task = tasks.create_task(self._see_through(due), name=f"publish {due.pod.key}")
                        self._under_way[due.pod.uid] = task

    async def _see_through(self, due: Due) -> None:
        uid = due.pod.uid
        try:
            await self._send_until_confirmed(due)
            self._tracker.confirmed(due)
        finally:
            del self._under_way[uid]
            self._wake.set()
        self._observer.tracked(len(self._tracker), self._tracker.backlog)

    async def _send_until_confirmed(self, due: Due) -> None:
        attempt = 0
        while self._tracker.is_due(due):
            attempt += 1
            try:
                await self._send(due)
            except BrokerError as error:
                log = logger.bind(pod=due.pod.key, cause=due.cause.value, attempt=attempt, error=str(error))
                log.warning("not confirmed by the broker; sending it again")
                await asyncio.sleep(backoff(attempt, MAX_BACKOFF).total_seconds())
            except Exception as error:  # a mistake of ours about one pod must not stop the drains of all others
                log = logger.bind(pod=due.pod.key, error=f"{type(error).__name__}: {error}")
                log.error("this pod cannot be drained; trying again")
                await asyncio.sleep(MAX_BACKOFF.total_seconds())
            else:
                return

    async def _send(self, due: Due) -> None:
        decisions = make_commands(due.pod, due.cause, due.observed_at, self._routing, self._tracker.sharing(due.pod))
        for decision in decisions:
            match decision:
                case Publish(command=command):
                    with self._priority.urgent():
                        await self._outbox.send(command)
                    self._resender.sent(command)
                    self._observer.published(due.cause)
                    published_at = self._clock()
                    event = make_event(command, Outcome.requested, command.observed_at, published_at=published_at)
                    await self._recorder.record(event)
                case Refuse(command=command, reason=reason):
                    await self._recorder.record(make_event(command, Outcome.refused, self._clock(), reason=reason))
                case _:
                    assert_never(decision)
