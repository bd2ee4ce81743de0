"""What no worker has answered is sent again: its queue may have been deleted by hand, with everything in it.

The broker's confirmation says that it has a command, not that a worker will see it. The event log says that.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from loguru import logger

from controller.domain.bounded_map import BoundedMap
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.routing import Publish, Routing, make_commands
from controller.errors import BrokerError
from controller.flows.drain_log import wait_for_log
from controller.flows.ports import Clock, EventLog
from controller.flows.publisher import Publisher

FIRST_TIMEOUT = timedelta(seconds=15)
"""How long a worker may take to write anything, the first time; then twice as long each time."""
MAX_TIMEOUT = timedelta(minutes=5)
MAX_SENDS = 16
"""About an hour. A region without any worker keeps the first command in its queue, or among the unrouted."""
CHECK_INTERVAL = timedelta(seconds=5)
MAX_COMMANDS = 20_000
"""Commands that are kept in mind, the newest ones."""


class Resender:
    """Keeps the commands of one watch until a worker has written something about them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        log: EventLog,
        publisher: Publisher,
        routing: Routing,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._publisher = publisher
        self._routing = routing
        self._clock = clock
        self._not_before = clock()
        self._waiting: BoundedMap[str, tuple[DrainCommand, int, datetime]] = BoundedMap(MAX_COMMANDS)

    def sent(self, command: DrainCommand) -> None:
        """Keep a command that the broker has, unless nobody is known who could answer it."""
        if command.region not in self._routing.regions:
            return
        self._waiting[command.drain_id] = (command, 1, self._clock() + FIRST_TIMEOUT)

    async def wait_for_log(self) -> bool:
        """Wait, but not for ever, until the log says what was answered before this process began."""
        return await wait_for_log(self._log)

    def is_answered(self, pod: Pod) -> bool:
        """Return whether a worker has taken this pod's drains up, after an earlier watch sent them."""
        return all(
            isinstance(decision, Publish)
            and self._ledger.is_answered(decision.command.drain_id, decision.command.since_at)
            for decision in make_commands(pod, Cause.deleted, self._clock(), self._routing)
        )

    async def run(self) -> None:
        """Look for ever, whenever the log can be read, and has been written for as long as an answer takes.

        While it takes nothing of ours, it says nothing of workers' answers either.
        """
        while True:
            await asyncio.sleep(CHECK_INTERVAL.total_seconds())
            if self._publisher.waiting:
                self._not_before = self._clock() + FIRST_TIMEOUT
            elif self._log.caught_up and self._clock() >= self._not_before:
                await self._check()

    async def _check(self) -> None:
        for drain_id, (command, sends, due_at) in list(self._waiting.items()):
            if self._ledger.is_answered(drain_id, command.observed_at):
                self._waiting.pop(drain_id, None)
            elif self._clock() >= due_at:
                log = logger.bind(drain=drain_id, pod=command.pod.key, region=command.region, sends=sends)
                if sends >= MAX_SENDS:
                    log.warning("no worker has answered; is there one for the region?")
                    self._waiting.pop(drain_id, None)
                    continue
                try:
                    await self._publisher.send_again(command)
                except BrokerError:
                    return
                log.info("no worker has answered; sent again")
                timeout = min(FIRST_TIMEOUT * 2 ** min(sends, 8), MAX_TIMEOUT)
                self._waiting[drain_id] = (command, sends + 1, self._clock() + timeout)
