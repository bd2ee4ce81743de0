"""A command is sent before it is recorded, an event waits for urgent commands, and no command waits for the log."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from controller.domain.causes import Cause
from controller.domain.commands import make_restore
from controller.domain.events import Event, Outcome, make_event, make_takeover_event
from controller.domain.held_instances import HeldInstance
from controller.domain.ledger import Ledger
from controller.errors import BrokerError
from controller.flows.drain_log import DrainLog
from controller.flows.priority import PriorityGate
from controller.flows.publisher import Publisher
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.outbox import FakeBroker, Refusal
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.flows.watching import watching
from tests.flows.world import OUT_EVERYWHERE, World
from tests.unit.building import NOON, a_command, a_pod, terminating

MANY = timedelta(minutes=5)


def an_event(name: str, outcome: Outcome = Outcome.out_of_service) -> Event:
    return make_event(a_command(drain_id=name), outcome, virtual_clock())


def a_log(broker: FakeBroker, *, max_waiters: int) -> DrainLog:
    publisher = Publisher(outbox=broker, clock=virtual_clock)
    return DrainLog(ledger=Ledger(), follower=FakeLog(), publisher=publisher, max_waiters=max_waiters)


def written(broker: FakeBroker) -> list[str]:
    return [event.drain_id for event in broker.events]


@in_virtual_time
async def test_a_command_is_sent_counted_and_recorded_as_requested() -> None:
    broker, observer = FakeBroker(), FakeObserver()
    publisher = Publisher(outbox=broker, clock=virtual_clock, observer=observer)
    await publisher.send(a_command())
    assert [command.drain_id for command in broker.sent] == [a_command().drain_id]
    assert await publisher.finish(MANY) == 0
    assert broker.outcomes == [Outcome.requested]
    assert broker.events[0].published_at is not None


@in_virtual_time
async def test_what_the_broker_did_not_confirm_is_not_recorded() -> None:
    broker = FakeBroker()
    broker.refusal = Refusal.lost
    publisher = Publisher(outbox=broker, clock=virtual_clock)
    with pytest.raises(BrokerError):
        await publisher.send(a_command())
    broker.refusal = None
    assert await publisher.finish(MANY) == 0
    assert broker.entries == []


@in_virtual_time
async def test_an_event_waits_until_nothing_urgent_waits() -> None:
    broker, priority = FakeBroker(), PriorityGate()
    publisher = Publisher(outbox=broker, clock=virtual_clock, priority=priority)
    with priority.urgent():
        writing = asyncio.create_task(publisher.record(an_event("d")))
        await asyncio.sleep(2)
        assert broker.entries == []
    await writing
    assert broker.outcomes == [Outcome.out_of_service]
    assert elapsed() < 3


@in_virtual_time
async def test_what_the_log_does_not_take_is_written_in_its_order_once_it_does() -> None:
    broker = FakeBroker()
    publisher = Publisher(outbox=broker, clock=virtual_clock)
    broker.log_refusal = Refusal.lost
    names = [f"d{number}" for number in range(20)]
    for name in names:
        await publisher.record(an_event(name))
    assert elapsed() <= 5.1, "the log keeps somebody waiting once, not each time"
    assert publisher.waiting == 20
    await asyncio.sleep(600)
    broker.log_refusal = None
    await publisher.wait_until_written()
    assert elapsed() <= 600 + 5 + 15, "in seconds, however long it was away"
    assert written(broker) == names


@in_virtual_time
async def test_an_event_does_not_overtake_those_that_wait() -> None:
    broker = FakeBroker()
    publisher = Publisher(outbox=broker, clock=virtual_clock)
    broker.log_refusal = Refusal.lost
    await publisher.record(an_event("first"))
    broker.log_refusal = None
    await publisher.record(an_event("second"))
    await publisher.wait_until_written()
    assert written(broker) == ["first", "second"]


@in_virtual_time
async def test_a_process_that_ends_says_how_many_events_are_lost() -> None:
    broker = FakeBroker()
    publisher = Publisher(outbox=broker, clock=virtual_clock)
    broker.log_refusal = Refusal.lost
    for number in range(3):
        publisher.note(an_event(f"d{number}"))
    await asyncio.sleep(30)
    begun = elapsed()
    assert await publisher.finish(timedelta(seconds=7)) == 3
    assert elapsed() - begun == pytest.approx(7)


@in_virtual_time
async def test_an_event_that_cannot_be_written_does_not_keep_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker()
    publisher = Publisher(outbox=broker, clock=virtual_clock)
    broker.log_refusal = Refusal.lost
    await publisher.record(an_event("first"))
    await publisher.record(an_event("broken"))
    await publisher.record(an_event("last"))
    record = broker.record

    async def refuse(entry: Event) -> None:
        if entry.drain_id == "broken":
            raise ValueError("a mistake of ours")
        await record(entry)

    monkeypatch.setattr(broker, "record", refuse)
    broker.log_refusal = None
    await publisher.wait_until_written()
    assert written(broker) == ["first", "last"]
    publisher.note(an_event("broken"))
    assert await publisher.finish(MANY) == 0


@in_virtual_time
async def test_a_takeover_is_in_the_log_or_the_step_is_done_again() -> None:
    broker = FakeBroker()
    log = a_log(broker, max_waiters=1)
    broker.log_refusal = Refusal.lost
    held = HeldInstance(
        drain_id="d", region="eu", app="ORDERS", id="i", cause=Cause.terminating, namespace="shop",
        pod="orders-0", uid="uid-1", ip="10.1.0.7", since_at=NOON, out_at=NOON,
    )  # fmt: skip
    takeover = make_takeover_event(make_restore("test", "eu", a_pod("uid-2"), (held,), NOON), held, virtual_clock())
    with pytest.raises(BrokerError):
        await log.record(takeover)
    await log.record(an_event("d"))


@in_virtual_time
async def test_only_so_many_messages_are_held_for_the_log() -> None:
    broker = FakeBroker()
    log = a_log(broker, max_waiters=2)
    broker.log_refusal = Refusal.lost
    await log.record(an_event("d"))
    waiting = [asyncio.create_task(log.wait_until_written()) for _ in range(3)]
    await asyncio.sleep(60)
    assert [task.done() for task in waiting] == [False, False, True]
    broker.log_refusal = None
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("refusal", list(Refusal))
@in_virtual_time
async def test_each_pod_is_sent_once_while_the_log_takes_nothing(refusal: Refusal) -> None:
    """Ten minutes and twenty pods, in two regions each."""
    async with watching(default=("eu", "us")) as stage:
        stage.broker.log_refusal = refusal
        pods = [terminating(a_pod(f"uid-{n}", name=f"orders-{n}", ip=f"10.1.0.{n}")) for n in range(20)]
        refused = terminating(a_pod("uid-r", name="orders-r", ip="10.1.0.99", annotations={"enabled": "maybe"}))
        stage.feed.lists(*pods, refused)
        await asyncio.sleep(1)
        assert len(stage.sent) == 40, "no command waits for the log"
        assert stage.observer.tracked_now == (21, 0)
        await asyncio.sleep(600)
        assert len(stage.sent) == 40, "a confirmed command is not sent again for its event"
        stage.broker.log_refusal = None
        await asyncio.sleep(12)
        ids = {command.drain_id for command in stage.broker.sent}
        assert {event.drain_id for event in stage.broker.events if event.outcome is Outcome.requested} == ids
        assert Outcome.refused in stage.broker.outcomes


@in_virtual_time
async def test_a_worker_goes_on_while_the_log_takes_nothing() -> None:
    async with World(remove=True) as world:
        app = await world.process()
        world.broker.log_refusal = Refusal.lost
        sent_at = elapsed()
        await world.send()
        await asyncio.sleep(1)
        assert world.everywhere() == OUT_EVERYWHERE
        await asyncio.sleep(10)
        assert world.broker.waits, "it goes on"
        app.die()
        await asyncio.sleep(600)
        assert world.everywhere() == [None, None], f"removed, {elapsed() - sent_at} s after it was asked for"
        assert world.broker.unacknowledged, "a message is held until the log has what it ended with"
        world.broker.log_refusal = None
        await world.until_idle()
        assert world.broker.outcomes == [Outcome.out_of_service, Outcome.removed]


@in_virtual_time
async def test_what_waited_when_the_process_died_is_recorded_by_another() -> None:
    async with World() as world:
        app = await world.process()
        world.broker.log_refusal = Refusal.lost
        await world.send()
        await asyncio.sleep(30)
        assert world.everywhere() == OUT_EVERYWHERE
        world.broker.log_refusal = None
        world.crashes.crash_next()
        app.die()
        await world.until_idle()
        assert world.consumer.restarts == 1
        assert set(world.broker.outcomes) == {Outcome.out_of_service, Outcome.removed}
