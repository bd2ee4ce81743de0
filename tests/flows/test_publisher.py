"""A command is sent before it is recorded, and an event waits for urgent commands."""

from __future__ import annotations

import asyncio

import pytest

from controller.domain.events import Outcome, make_event
from controller.errors import BrokerError
from controller.flows.priority import PriorityGate
from controller.flows.publisher import Publisher
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker, Refusal
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.unit.building import a_command


@in_virtual_time
async def test_a_command_is_sent_counted_and_recorded_as_requested() -> None:
    broker, observer = FakeBroker(), FakeObserver()
    await Publisher(outbox=broker, clock=virtual_clock, observer=observer).send(a_command())
    assert [command.drain_id for command in broker.sent] == [a_command().drain_id]
    assert broker.outcomes == [Outcome.requested]
    assert broker.events[0].published_at is not None


@in_virtual_time
async def test_what_the_broker_did_not_confirm_is_not_recorded() -> None:
    broker = FakeBroker()
    broker.refusal = Refusal.lost
    with pytest.raises(BrokerError):
        await Publisher(outbox=broker, clock=virtual_clock).send(a_command())
    assert broker.entries == []


@in_virtual_time
async def test_an_event_waits_until_nothing_urgent_waits() -> None:
    broker, priority = FakeBroker(), PriorityGate()
    publisher = Publisher(outbox=broker, clock=virtual_clock, priority=priority)
    with priority.urgent():
        writing = asyncio.create_task(
            publisher.record(make_event(a_command(), Outcome.out_of_service, virtual_clock()))
        )
        await asyncio.sleep(2)
        assert broker.entries == []
    await writing
    assert broker.outcomes == [Outcome.out_of_service]
    assert elapsed() < 3
