"""Sending a plan at a rate, ending between two commands, and waiting for their outcomes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from controller.domain.events import Event, Outcome, make_event
from controller.domain.replay_plan import ReplayAction, ReplayDecision, ReplayItem, Requester, requested
from controller.errors import BrokerError
from controller.flows.publisher import Publisher
from controller.flows.replayer import MAX_UNCONFIRMED, Replayer, ReplayProgress
from tests.fakes.outbox import FakeBroker, Refusal
from tests.fakes.virtual_time import elapsed, in_virtual_time, virtual_clock
from tests.unit.building import a_command, a_pod, a_target, at, terminating

ANN = Requester(by="ann", at=at(0), why="INC-1")
OUTCOME_TIMEOUT = timedelta(minutes=2)


class SlowBroker(FakeBroker):
    """Takes its time for each order, and keeps none of them waiting for another one."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.sent_at: list[float] = []
        self.under_way = 0
        self.most = 0

    async def send(self, item: object) -> None:
        self.sent_at.append(elapsed())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        await super().send(item)  # type: ignore[arg-type]


def an_item(number: int) -> ReplayItem:
    pod = terminating(a_pod(f"uid-{number}", name=f"n{number}"))
    command = requested(a_command(pod, drain_id=f"d{number}"), ANN)
    return ReplayItem(
        drain_id=command.drain_id,
        region="eu",
        pod=pod.key,
        apps=("ORDERS",),
        decision=ReplayDecision(action=ReplayAction.drain),
        command=command,
        instances=(("ORDERS", f"id-{number}"),),
    )


def outcome_of(item: ReplayItem, outcome: Outcome = Outcome.out_of_service) -> Event:
    assert item.command is not None
    [(_, instance_id)] = item.instances
    return make_event(item.command, outcome, virtual_clock(), target=a_target(id=instance_id))


def a_replay(broker: FakeBroker) -> Replayer:
    replay = Replayer(publisher=Publisher(outbox=broker, clock=virtual_clock), requested_at=ANN.at)
    broker.readers.append(replay.apply)
    return replay


@pytest.mark.parametrize(("per_second", "took"), [(10.0, 9.9), (50.0, 1.98), (0.5, 198.0)])
@in_virtual_time
async def test_commands_are_sent_evenly(per_second: float, took: float) -> None:
    broker = SlowBroker(0.01)
    await a_replay(broker).send([an_item(number) for number in range(100)], per_second=per_second)
    assert len(broker.sent) == 100
    assert broker.sent_at[-1] == pytest.approx(took, rel=0.01)
    gaps = [later - sooner for sooner, later in zip(broker.sent_at, broker.sent_at[1:], strict=False)]
    assert max(gaps) == pytest.approx(1 / per_second, rel=0.05)


@in_virtual_time
async def test_a_distant_broker_slows_nothing_and_few_commands_are_under_way() -> None:
    broker = SlowBroker(0.1)
    await a_replay(broker).send([an_item(number) for number in range(1_000)], per_second=10_000)
    assert broker.most == MAX_UNCONFIRMED
    assert elapsed() < 4, "one after the other it would have been 100 s"


@in_virtual_time
async def test_a_pause_of_the_broker_is_not_made_up_for_by_a_burst() -> None:
    broker = SlowBroker()
    replay = a_replay(broker)
    sending = asyncio.create_task(
        replay.send([an_item(number) for number in range(100)], per_second=10), name="sending"
    )
    await asyncio.sleep(2)
    broker.seconds = 20
    await asyncio.sleep(1)
    broker.seconds = 0
    await sending
    for begin in range(40):
        assert sum(begin <= sent_at < begin + 1 for sent_at in broker.sent_at) <= 13


@in_virtual_time
async def test_each_command_is_recorded_with_who_asked_and_why() -> None:
    broker = FakeBroker()
    recorded: list[str] = []

    async def note(item: ReplayItem) -> None:
        assert broker.sent[-1].drain_id == item.drain_id, "sent before anything that follows from it"
        recorded.append(item.drain_id)

    await a_replay(broker).send([an_item(number) for number in range(3)], per_second=10, sent=note)
    assert recorded == ["d0", "d1", "d2"]
    await asyncio.sleep(0.1)
    assert [(event.outcome, event.requested_by, event.requested_why) for event in broker.events] == [
        (Outcome.requested, "ann", "INC-1")
    ] * 3
    assert all(event.facts is not None for event in broker.events)


@in_virtual_time
async def test_cancelled_once_or_often_it_ends_between_two_commands() -> None:
    broker = SlowBroker(1.0)
    replay, recorded = a_replay(broker), []

    async def note(item: ReplayItem) -> None:
        recorded.append(item.drain_id)

    sending = asyncio.create_task(replay.send([an_item(n) for n in range(100)], per_second=10, sent=note))
    await asyncio.sleep(5.05)
    for _ in range(3):
        sending.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await sending
    ids = [command.drain_id for command in broker.sent]
    assert len(ids) == 51
    assert sorted(ids) == sorted(event.drain_id for event in broker.events) == sorted(recorded)
    assert sorted(item.drain_id for item in replay.progress.sent) == sorted(ids)


@in_virtual_time
async def test_an_unconfirmed_command_ends_it_and_is_not_counted_as_sent() -> None:
    broker = SlowBroker(0.05)
    replay = a_replay(broker)
    sending = asyncio.create_task(replay.send([an_item(n) for n in range(1_000)], per_second=100))
    await asyncio.sleep(2)
    broker.refusal = Refusal.lost
    with pytest.raises(BrokerError):
        await sending
    assert elapsed() < 10
    assert len(broker.sent) >= len(replay.progress.sent) > 150


@in_virtual_time
async def test_it_waits_until_everything_has_come_to_something() -> None:
    broker = FakeBroker()
    replay = a_replay(broker)
    items = [an_item(number) for number in range(3)]
    await replay.send(items, per_second=100)
    counts: list[int] = []

    def report(progress: ReplayProgress) -> None:
        counts.append(len(progress.settled))

    async def settle() -> None:
        for item in items:
            await asyncio.sleep(60)
            await broker.record(outcome_of(item))

    settling = asyncio.create_task(settle())
    await replay.wait(OUTCOME_TIMEOUT, report=report)
    await settling
    assert elapsed() == pytest.approx(180, abs=1)
    assert sorted(set(counts)) == [0, 1, 2, 3]
    assert replay.progress.open == []
    assert {record.state for record in replay.progress.settled.values()} == {Outcome.out_of_service}


@in_virtual_time
async def test_it_does_not_wait_for_ever_for_what_does_not_come() -> None:
    broker = FakeBroker()
    replay = a_replay(broker)
    items = [an_item(number) for number in range(2)]
    await replay.send(items, per_second=100)
    await broker.record(outcome_of(items[0]))
    await replay.wait(OUTCOME_TIMEOUT)
    assert elapsed() == pytest.approx(120, abs=1)
    assert [item.drain_id for item in replay.progress.open] == ["d1"]


@in_virtual_time
async def test_what_came_of_the_drain_before_or_of_another_run_does_not_count() -> None:
    broker = FakeBroker()
    replay = a_replay(broker)
    item = an_item(0)
    await broker.record(make_event(a_command(drain_id="d0"), Outcome.removed, at(0), target=a_target(id="id-0")))
    other = requested(a_command(drain_id="d0"), Requester(by="bob", at=at(1)))
    await replay.send([item], per_second=100)
    await broker.record(make_event(other, Outcome.removed, at(2), target=a_target(id="id-0")))
    assert replay.progress.settled == {}
    await broker.record(outcome_of(item, Outcome.refused))
    assert replay.progress.settled["d0"].state is Outcome.refused


@in_virtual_time
async def test_an_outcome_that_is_read_before_the_request_settles_it() -> None:
    broker = FakeBroker()
    replay = a_replay(broker)
    item = an_item(0)
    replay.apply(outcome_of(item))
    await replay.send([item], per_second=100)
    await replay.wait(OUTCOME_TIMEOUT)
    assert elapsed() < 1
    assert replay.progress.settled["d0"].state is Outcome.out_of_service
