"""Sending what is due: each pod that is to be drained stays due until the broker has confirmed its commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from loguru import logger

from controller.domain.events import Outcome, make_event
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Refuse, Routing, make_commands
from controller.domain.shutdown.pod_details import PodDetails
from controller.domain.tracking import Due, Tracker
from controller.errors import BrokerError
from controller.flows.backoff import Backoff
from controller.flows.ports import Observer
from controller.flows.publisher import Publisher
from controller.flows.resend import Resender

MAX_UNDER_WAY = 5_000
"""Pods whose commands are under way together; the broker's confirms arrive in batches."""
MAX_BACKOFF = timedelta(seconds=5)


class Dispatcher:
    """Turns what is due into commands, and sees them through."""

    def __init__(
        self, *, tracker: Tracker, routing: Routing, publisher: Publisher, resender: Resender, observer: Observer
    ) -> None:
        self._tracker = tracker
        self._routing = routing
        self._publisher = publisher
        self._resender = resender
        self._observer = observer
        self._wake = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def listed(self, pods: Sequence[Pod], vanished: Sequence[Pod]) -> None:  # noqa: ARG002 - the tracker knows
        """Send what has become due."""
        self._note()

    def changed(self, pod: Pod, details: PodDetails | None) -> None:  # noqa: ARG002
        """Send what has become due."""
        self._note()

    def removed(self, pod: Pod, details: PodDetails | None, *, seen: bool = True) -> None:  # noqa: ARG002
        """Send what has become due."""
        self._note()

    def _note(self) -> None:
        if self._tracker.backlog:
            self._wake.set()
        self._observer.tracked(len(self._tracker), self._tracker.backlog)

    async def run(self) -> None:
        """Keep up to MAX_UNDER_WAY pods under way, for ever; each task ends only when its pod is confirmed."""
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

    async def finish(self, within: timedelta) -> None:
        """Give what is under way this long to be confirmed; what is left is seen again by whoever watches next."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=within.total_seconds())

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
        backoff = Backoff(longest=MAX_BACKOFF)
        while newest := self._tracker.newest(due):
            try:
                await self._send(newest)
            except BrokerError as error:
                log = logger.bind(pod=due.pod.key, cause=due.cause.value, attempt=backoff.attempt + 1)
                log.bind(error=str(error)).warning("not confirmed by the broker; sending it again")
                await backoff.wait()
            except Exception as error:  # a mistake of ours about one pod must not stop the drains of all others
                log = logger.bind(pod=due.pod.key, error=f"{type(error).__name__}: {error}")
                log.error("this pod cannot be drained; trying again")
                await asyncio.sleep(MAX_BACKOFF.total_seconds())
            else:
                return

    async def _send(self, due: Due) -> None:
        living = self._tracker.sharing(due.pod)
        for decision in make_commands(due.pod, due.cause, due.observed_at, self._routing, living, due.gone):
            match decision:
                case Publish(command=command):
                    await self._publisher.send(command)
                    self._resender.sent(command)
                case Refuse(command=command, reason=reason):
                    refused = make_event(command, Outcome.refused, due.observed_at, reason=reason)
                    self._publisher.note(refused)
                case _:
                    assert_never(decision)
