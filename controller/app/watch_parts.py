"""The watch, put together from its ports: who listens to whom is decided here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from controller.domain.ledger import Ledger
from controller.domain.routing import Routing
from controller.domain.tracking import Tracker
from controller.flows.dispatcher import Dispatcher
from controller.flows.end_publisher import EndPublisher
from controller.flows.gone_recorder import GoneRecorder
from controller.flows.missing_pods import MissingPods
from controller.flows.pod_events import PodEvents
from controller.flows.ports import Clock, EventLog, EventRecorder, NodeFeed, Observer, Outbox, PodFeed
from controller.flows.positions import Positions
from controller.flows.priority import PriorityGate
from controller.flows.publisher import Publisher
from controller.flows.resend import Resender
from controller.flows.restore_dispatcher import RestoreDispatcher
from controller.flows.resume import Resume
from controller.flows.watch import Watch
from controller.signals import finish_in_turn


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParts:
    """Everything that runs in the role ``watch``."""

    watch: Watch
    publisher: Publisher
    dispatcher: Dispatcher
    restore_dispatcher: RestoreDispatcher
    """Reads the event log."""
    resender: Resender
    gone: GoneRecorder
    """Writes once more what a log held that is no more."""
    missing: MissingPods
    ends: EndPublisher
    positions: Positions
    """Reads the stream of positions."""
    resume: Resume
    pod_events: PodEvents | None
    """Reads the event log and the shutdown verdicts; None where no Kubernetes Events are created."""

    async def run(self) -> None:
        """Run all of it, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch.run(), name="watch")
            tasks.create_task(self.dispatcher.run(), name="dispatch")
            tasks.create_task(self.restore_dispatcher.run(), name="restores")
            tasks.create_task(self.resender.run(), name="resend")
            tasks.create_task(self.ends.run(), name="ends")
            tasks.create_task(self.missing.run(), name="missing pods")
            tasks.create_task(self.resume.run(), name="resume")
            if self.pod_events is not None:
                tasks.create_task(self._run_pod_events(self.pod_events), name="pod events")

    async def _run_pod_events(self, pod_events: PodEvents) -> None:
        await self.watch.all_listed.wait()  # only then is it known which pods are there
        await pod_events.run()

    async def finish(self, within: timedelta) -> None:
        """Give what is under way this long to be confirmed, and written down."""
        await finish_in_turn(within, self.dispatcher.finish, self.publisher.finish)


def build_watch(
    *,
    feeds: Sequence[PodFeed],
    nodes: NodeFeed | None = None,
    outbox: Outbox,
    routing: Routing,
    clock: Clock,
    observer: Observer,
    priority: PriorityGate,
    ledger: Ledger,
    log: EventLog,
    positions_log: EventLog,
    event_recorder: EventRecorder | None = None,
) -> WatchParts:
    """Put a watch together. Without an ``event_recorder`` no Kubernetes Events are created.

    Without ``nodes`` it is not known when one of them shuts down.
    """
    tracker = Tracker()
    publisher = Publisher(outbox=outbox, clock=clock, observer=observer, priority=priority)
    resender = Resender(ledger=ledger, log=log, publisher=publisher, routing=routing, clock=clock)
    dispatcher = Dispatcher(tracker=tracker, routing=routing, publisher=publisher, resender=resender, observer=observer)
    restore_dispatcher = RestoreDispatcher(
        cluster=routing.cluster, tracker=tracker, ledger=ledger, log=log, outbox=outbox
    )
    gone = GoneRecorder(tracker=tracker, routing=routing, publisher=publisher, clock=clock)
    ends = EndPublisher(routing=routing, outbox=outbox, priority=priority, clock=clock)
    positions = Positions(cluster=routing.cluster, follower=positions_log, outbox=outbox, clock=clock)
    listeners = (dispatcher, restore_dispatcher, gone, ends)
    watch = Watch(feeds=feeds, nodes=nodes, tracker=tracker, listeners=listeners, clock=clock)
    pod_events = None
    if event_recorder is not None:
        pod_events = PodEvents(
            cluster=routing.cluster,
            scopes=[feed.scope for feed in feeds],
            event_recorder=event_recorder,
            is_there=tracker.has,
            clock=clock,
        )
    return WatchParts(
        watch=watch,
        publisher=publisher,
        dispatcher=dispatcher,
        restore_dispatcher=restore_dispatcher,
        resender=resender,
        gone=gone,
        missing=MissingPods(feeds=feeds, tracker=tracker, ledger=ledger, publisher=publisher, clock=clock),
        ends=ends,
        positions=positions,
        resume=Resume(watch=watch, positions=positions, resender=resender, publisher=publisher),
        pod_events=pod_events,
    )
