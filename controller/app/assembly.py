"""From settings to the parts that more than one command is built of."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from controller.domain.decide import Routing
from controller.domain.events import Event
from controller.domain.standing import Guard
from controller.errors import BrokerError
from controller.flows.steps import Policy
from controller.messages.codec import decode_event
from controller.rabbit import names
from controller.rabbit.log import RabbitLog
from controller.settings import Settings

LOG_TIMEOUT = 60.0
"""Seconds that a command waits for the event log."""


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def routing_of(settings: Settings) -> Routing:
    """How the settings route pods to regions."""
    known = tuple(settings.regions)
    return Routing(
        cluster=settings.watch.cluster,
        known=known,
        default=tuple(settings.routing.default_regions) or known,
        namespaces={name: tuple(regions) for name, regions in settings.routing.namespaces.items()},
    )


def policy_of(settings: Settings) -> Policy:
    """How the settings let a worker proceed."""
    return Policy(
        retention=settings.retention,
        remove=settings.remove,
        give_up_after=settings.retry.give_up_after,
        longest_wait=settings.retry.longest_wait,
        instance_id_templates=tuple(settings.instance_id_templates),
        concurrency=settings.work.concurrency,
        guard=Guard(**settings.guard.model_dump()),
    )


def event_log(settings: Settings, *, look_back: timedelta) -> RabbitLog[Event]:
    """A follower of the event log."""
    return RabbitLog(settings=settings.broker, stream=names.EVENTS, decode=decode_event, look_back=look_back, clock=now)


async def read_log(log: RabbitLog[Event]) -> None:
    """Wait until the event log has been read: without it, nobody knows what is being drained already."""
    try:
        async with asyncio.timeout(LOG_TIMEOUT):
            await log.wait_until_read()
    except TimeoutError as error:
        raise BrokerError(
            f"the event log could not be read within {LOG_TIMEOUT:.0f} s; is the broker there?"
        ) from error
