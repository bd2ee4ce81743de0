"""The Kubernetes side of a test: feeds that the test speaks through, a watch that runs, and a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from controller.app.watch_parts import build_watch
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, Target
from controller.domain.drain_index import DrainIndex
from controller.domain.events import Event, Outcome, make_event
from controller.domain.ledger import Ledger
from controller.domain.routing import Routing
from controller.flows.priority import PriorityGate
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from tests.fakes.event_recorder import FakeEventRecorder
from tests.fakes.feed import FakeNodeFeed, FakePodFeed
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker
from tests.fakes.virtual_time import virtual_clock
from tests.unit.building import a_command, a_pod, terminating


class Watching:
    """A watch over one feed or several."""

    def __init__(self, *scopes: str, **routing: Any) -> None:
        self.feeds = [FakePodFeed(scope) for scope in scopes or ("",)]
        self.feed = self.feeds[0]
        self.nodes = FakeNodeFeed()
        self.broker = FakeBroker()
        self.observer = FakeObserver()
        self.ledger = Ledger()
        self.event_recorder = FakeEventRecorder()
        usual = {"cluster": "test", "known": ("eu", "us"), "default": ("eu",), "namespaces": {}}
        self.parts = build_watch(
            feeds=self.feeds,
            nodes=self.nodes,
            outbox=self.broker,
            routing=Routing(**{**usual, **routing}),
            clock=virtual_clock,
            observer=self.observer,
            priority=PriorityGate(),
            ledger=self.ledger,
            log=FakeLog(),
            positions_log=FakeLog(),
            event_recorder=self.event_recorder,
        )

        assert self.parts.pod_events is not None
        verdicts = ShutdownVerdicts(DrainIndex())
        verdicts.readers.append(self.parts.pod_events.apply_shutdown)
        self.broker.readers += [self.parts.restore_dispatcher.apply, self.parts.pod_events.apply, verdicts.apply]
        self.broker.end_readers.append(verdicts.apply_end)

    def an_event(self, outcome: Outcome, *, command: DrainCommand | None = None, target: Target | None = None) -> Event:
        """An event about the usual pod's drain, at this moment."""
        return make_event(command or a_command(), outcome, virtual_clock(), target=target)

    @property
    def sent(self) -> list[tuple[str, str, Cause]]:
        """Pod, region and cause of each command."""
        return [(command.pod.name, command.region, command.cause) for command in self.broker.sent]


@asynccontextmanager
async def watching(*scopes: str, **routing: Any) -> AsyncIterator[Watching]:
    """A watch that runs."""
    stage = Watching(*scopes, **routing)
    running = asyncio.create_task(stage.parts.run())
    try:
        yield stage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


GOING = terminating(a_pod())
"""The pod that is asked to go."""
