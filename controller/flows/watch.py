"""The watch: what the API server says goes into the tracker, and what is due goes to the broker.

Two tasks share one tracker. ``observe`` only notes; ``publish`` only sends, and confirms to the tracker. So a broker
that is away never slows the watch, and a pod stays due until the broker has its command. Beside them, what the event
log says is held against the living pods (flows/succession) and against the commands that were sent (flows/chase), and
told to the pods themselves (flows/telling); what was removed while nobody watched is asked for at the start
(flows/resume); and when drained pods ended is told to whoever judges how it went (flows/ends).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import assert_never

from loguru import logger

from controller.domain.decide import Publish, Refuse, Routing, decide
from controller.domain.events import Outcome, tell
from controller.domain.ledger import Ledger
from controller.domain.schedule import backoff
from controller.domain.tracking import Due, Tracker
from controller.errors import BrokerError
from controller.flows.chase import Chase
from controller.flows.ends import Ends, no_mistake_about
from controller.flows.journal import Journal
from controller.flows.ports import (
    Alive,
    Changed,
    Clock,
    EventLog,
    Listed,
    Noticeboard,
    Observer,
    Outbox,
    PodFeed,
    Removed,
    Unselected,
)
from controller.flows.resume import Resume
from controller.flows.succession import Succession
from controller.flows.telling import Telling
from controller.flows.urgency import Urgency

AT_ONCE = 5_000
"""Pods whose commands are under way together; the broker's confirms arrive in batches."""
LONGEST_PAUSE = timedelta(seconds=5)


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
        urgency: Urgency,
        ledger: Ledger,
        log: EventLog,
        positions: EventLog,
        noticeboard: Noticeboard | None = None,
    ) -> None:
        """Without a ``noticeboard`` pods are told nothing."""
        self._feeds = feeds
        self._outbox = outbox
        self._routing = routing
        self._clock = clock
        self._observer = observer
        self._urgency = urgency
        self._journal = Journal(outbox=outbox, observer=observer, urgency=urgency)
        self._tracker = Tracker()
        self.succession = Succession(
            cluster=routing.cluster, tracker=self._tracker, ledger=ledger, log=log, outbox=outbox
        )
        self._ends = Ends(routing=routing, outbox=outbox, urgency=urgency, clock=clock)
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
        self._chase = Chase(ledger=ledger, log=log, outbox=outbox, clock=clock)
        self.telling: Telling | None = None
        if noticeboard is not None:
            self.telling = Telling(
                cluster=routing.cluster,
                scopes=[feed.scope for feed in feeds],
                noticeboard=noticeboard,
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
            tasks.create_task(self.succession.run(), name="restore")
            tasks.create_task(self._chase.run(), name="chase")
            tasks.create_task(self._ends.run(), name="ends")
            tasks.create_task(self._resume(), name="resume")
            if self.telling:
                tasks.create_task(self._tell(self.telling), name="tell")

    async def _tell(self, telling: Telling) -> None:
        await self._all_listed.wait()  # only then is it known which pods are there
        await telling.run()

    async def _resume(self) -> None:
        await self._all_listed.wait()
        if await self.resume.take_up():
            self._wake.set()
        await self.resume.note_for_ever()

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
                    with no_mistake_about(*vanished):
                        self._ends.listed(pods, vanished)
                    self._listed.add(number)
                    if self.ready:
                        self._all_listed.set()
                    for pod in pods:
                        self.succession.seen(pod)
                case Changed(pod=pod, stay=stay):
                    self._tracker.changed(pod, now)
                    self.succession.seen(pod)
                    with no_mistake_about(pod):
                        self._ends.changed(pod, stay)
                case Removed(pod=pod, stay=stay):
                    self._tracker.removed(pod, now)
                    with no_mistake_about(pod):
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
                    if len(self._under_way) >= AT_ONCE:
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
                await asyncio.sleep(backoff(attempt, LONGEST_PAUSE).total_seconds())
            except Exception as error:  # a mistake of ours about one pod must not stop the drains of all others
                log = logger.bind(pod=due.pod.key, error=f"{type(error).__name__}: {error}")
                log.error("this pod cannot be drained; trying again")
                await asyncio.sleep(LONGEST_PAUSE.total_seconds())
            else:
                return

    async def _send(self, due: Due) -> None:
        decisions = decide(due.pod, due.cause, due.observed_at, self._routing, self._tracker.sharing(due.pod))
        for decision in decisions:
            match decision:
                case Publish(command=command):
                    with self._urgency.urgent():
                        await self._outbox.send(command)
                    self._chase.sent(command)
                    self._observer.published(due.cause)
                    published_at = self._clock()
                    event = tell(command, Outcome.requested, command.observed_at, published_at=published_at)
                    await self._journal.record(event)
                case Refuse(command=command, reason=reason):
                    await self._journal.record(tell(command, Outcome.refused, self._clock(), reason=reason))
                case _:
                    assert_never(decision)
