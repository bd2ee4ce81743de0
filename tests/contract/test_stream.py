"""Following a stream of the real broker: what was written before, what is written now, and where it ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from controller.domain.events import Event, Outcome, make_event
from controller.domain.position import Position
from controller.domain.shutdown.pod_end import PodEnd
from controller.messages.codec import END_TYPE, decode_end, decode_event, decode_position
from controller.rabbit import names
from controller.rabbit.stream import StreamFollower
from tests.contract.brokers import an_outbox, fresh_region, kept_up, settings_for
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_command
from tests.unit.shutdowns import an_end


def now() -> datetime:
    return datetime.now(UTC)


def events(broker: RabbitMq, told: list[Event], *, look_back: timedelta = timedelta(hours=1)) -> StreamFollower[Event]:
    log = StreamFollower(
        settings=settings_for(broker), stream=names.EVENTS, decode=decode_event, look_back=look_back, clock=now
    )
    log.readers.append(told.append)
    return log


@pytest.mark.parametrize("count", [1, 2, 300])
async def test_a_position_or_many_are_told_to_whoever_starts_right_after(broker: RabbitMq, count: int) -> None:
    cluster = fresh_region()
    async with an_outbox(broker) as outbox:
        for number in range(count):
            await outbox.record_position(Position(cluster=cluster, at=now(), versions={"": str(number)}))
    told: list[Position] = []
    log = StreamFollower(
        settings=settings_for(broker),
        stream=names.POSITIONS,
        decode=decode_position,
        look_back=timedelta(minutes=10),
        clock=now,
    )
    log.readers.append(told.append)
    async with kept_up(log.link):
        await asyncio.wait_for(log.wait_until_read(), 10)
        ours = [position.versions[""] for position in told if position.cluster == cluster]
        assert ours[-1:] == [str(count - 1)]


async def test_the_end_of_each_pod_is_told_in_order_as_it_was_written_and_what_is_none_is_passed_over(
    broker: RabbitMq,
) -> None:
    cluster = fresh_region()
    ends = [an_end(number, cluster=cluster, uid=f"uid-{number}", at=now()) for number in range(50)]
    ends += [an_end(None, cluster=cluster, at=now()), an_end(1, cluster=cluster, at=now(), why="é" * 500)]
    told: list[PodEnd] = []
    async with an_outbox(broker) as outbox:
        for end in ends[:10]:
            await outbox.publish_end(end)
        await outbox._publish("", names.ENDS, b'{"version": 1}', END_TYPE, None)
        log = StreamFollower(
            settings=settings_for(broker),
            stream=names.ENDS,
            decode=decode_end,
            look_back=timedelta(minutes=10),
            clock=now,
        )
        log.readers.append(lambda end: told.append(end) if end.cluster == cluster else None)
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)
            for end in ends[10:]:
                await outbox.publish_end(end)
            await until(lambda: told and told[-1] == ends[-1], "the last end")
    assert told == ends


async def test_the_log_is_told_from_some_time_on_in_order_and_goes_on_after_a_lost_link(broker: RabbitMq) -> None:
    region = fresh_region()
    told: list[Event] = []
    async with an_outbox(broker, region) as outbox:
        for number in range(50):
            await outbox.record(make_event(a_command(region=region, drain_id=f"d{number}"), Outcome.requested, now()))
        log = events(broker, told)
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)
            await until(lambda: [e.drain_id for e in told if e.region == region][-1:] == ["d49"], "the last one")
            log.link.give_up("the test asks for it")
            await outbox.record(make_event(a_command(region=region, drain_id="later"), Outcome.requested, now()))
            await until(lambda: told and told[-1].drain_id == "later", "what came after")
            await until(lambda: log.caught_up, "caught up again")
    ours = [event.drain_id for event in told if event.region == region]
    assert list(dict.fromkeys(ours)) == [*(f"d{number}" for number in range(50)), "later"]


async def test_with_nothing_as_young_as_what_is_asked_for_there_is_nothing_to_wait_for(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region) as outbox:
        await outbox.record(make_event(a_command(region=region), Outcome.requested, now() - timedelta(hours=1)))
        await asyncio.sleep(1.5)
        told: list[Event] = []
        log = events(broker, told, look_back=timedelta(seconds=0.1))
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)
            assert log.caught_up
