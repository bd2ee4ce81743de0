"""Following a stream of the real broker: what was written before, what is written now, and where it ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from loguru import logger

from controller.app.assembly import event_log as followed_event_log
from controller.app.assembly import mentions
from controller.domain.commands import make_restore
from controller.domain.events import Event, LogEntry, Outcome, TakeoverEvent, make_event, make_takeover_event
from controller.domain.held_instances import HeldInstance
from controller.domain.shutdown.pod_end import PodEnd
from controller.domain.sweep_report import LatestSweeps, SweepFinding, SweepReport
from controller.domain.watch_position import Position
from controller.messages.codec import (
    END_TYPE,
    EVENT_TYPE,
    decode_end,
    decode_entry,
    decode_position,
    encode_entry,
)
from controller.messages.groups import GROUP_TYPE, encode_group
from controller.rabbit import names
from controller.rabbit.stream import StreamFollower
from controller.settings import Settings
from controller.signals import beside
from tests.contract.brokers import a_channel, an_outbox, fresh_region, kept_up, settings_for, until_confirmed
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import NOON, a_command, a_pod
from tests.unit.shutdowns import an_end


def now() -> datetime:
    return datetime.now(UTC)


def event_log(
    broker: RabbitMq, read: list[LogEntry], *, look_back: timedelta = timedelta(hours=1), declares: bool = False
) -> StreamFollower[LogEntry]:
    log: StreamFollower[LogEntry] = StreamFollower(
        settings=settings_for(broker),
        stream=names.EVENTS,
        decode=decode_entry,
        look_back=look_back,
        clock=now,
    )
    log.declares = declares
    log.readers.append(read.append)
    return log


@pytest.mark.parametrize("count", [1, 2, 300])
async def test_positions_are_read_by_whoever_starts_right_after(broker: RabbitMq, count: int) -> None:
    cluster = fresh_region()
    async with an_outbox(broker) as outbox:
        for number in range(count):
            await outbox.record_position(Position(cluster=cluster, at=now(), versions={"": str(number)}))
    read: list[Position] = []
    log = StreamFollower(
        settings=settings_for(broker),
        stream=names.POSITIONS,
        decode=decode_position,
        look_back=timedelta(minutes=10),
        clock=now,
    )
    log.readers.append(read.append)
    async with kept_up(log.link):
        await asyncio.wait_for(log.wait_until_read(), 10)
        ours = [position.versions[""] for position in read if position.cluster == cluster]
        assert ours[-1:] == [str(count - 1)]


async def test_ends_are_read_in_order_and_what_is_none_is_passed_over(
    broker: RabbitMq,
) -> None:
    cluster = fresh_region()
    ends = [an_end(number, cluster=cluster, uid=f"uid-{number}", at=now()) for number in range(50)]
    ends += [an_end(None, cluster=cluster, at=now()), an_end(1, cluster=cluster, at=now(), why="é" * 500)]
    read: list[PodEnd] = []
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
        log.readers.append(lambda end: read.append(end) if end.cluster == cluster else None)
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)
            for end in ends[10:]:
                await outbox.publish_end(end)
            await until(lambda: read and read[-1] == ends[-1], "the last end")
    assert read == ends


async def test_the_log_is_read_in_order_and_goes_on_after_a_lost_link(broker: RabbitMq) -> None:
    region = fresh_region()
    read: list[LogEntry] = []
    async with an_outbox(broker, region) as outbox:
        for number in range(50):
            await outbox.record(make_event(a_command(region=region, drain_id=f"d{number}"), Outcome.requested, now()))
        log = event_log(broker, read)
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)
            await until(lambda: [e.drain_id for e in read if e.region == region][-1:] == ["d49"], "the last one")
            log.link.give_up("the test asks for it")
            await outbox.record(make_event(a_command(region=region, drain_id="later"), Outcome.requested, now()))
            await until(lambda: read and read[-1].drain_id == "later", "what came after")
            await until(lambda: log.caught_up, "caught up again")
    ours = [event.drain_id for event in read if event.region == region]
    assert list(dict.fromkeys(ours)) == [*(f"d{number}" for number in range(50)), "later"]


async def test_a_burst_of_entries_is_fewer_messages_and_read_in_order(broker: RabbitMq) -> None:
    region = fresh_region()
    events = [
        make_event(a_command(region=region, drain_id=f"d{number}"), Outcome.requested, now()) for number in range(500)
    ]
    read: list[LogEntry] = []
    offsets: set[int] = set()
    log = event_log(broker, read)
    async with an_outbox(broker, region) as outbox, kept_up(log.link):
        await asyncio.wait_for(log.wait_until_read(), 10)
        log.readers.append(lambda entry: offsets.add(log._mark.offset if log._mark else -1))
        await asyncio.gather(*map(outbox.record, events))
        await until(lambda: len([entry for entry in read if entry.region == region]) >= len(events), "all of them")
        await outbox._append(
            encode_group([(b"{}", EVENT_TYPE), (encode_entry(events[0]), EVENT_TYPE)]), GROUP_TYPE, None
        )
        await until(lambda: read[-1] == events[0], "what stands beside an entry that is none of ours")
    assert [entry for entry in read if entry.region == region] == [*events, events[0]]
    assert len(offsets) < 50, "so many messages"


async def test_a_takeover_is_read_between_the_events_as_it_was_written(broker: RabbitMq) -> None:
    region = fresh_region()
    command = a_command(region=region)
    held = HeldInstance(
        drain_id=command.drain_id, region=region, app="ORDERS", id="i", cause=command.cause, namespace="shop",
        pod="orders-0", uid="uid-1", ip="10.1.0.7", since_at=NOON, out_at=NOON,
    )  # fmt: skip
    takeover = make_takeover_event(make_restore("test", region, a_pod("uid-2"), (held,), NOON), held, now())
    read: list[LogEntry] = []
    log = event_log(broker, read)
    async with an_outbox(broker, region) as outbox, kept_up(log.link):
        await outbox.record(make_event(command, Outcome.out_of_service, now()))
        await outbox.record(takeover)
        await outbox.record(make_event(command, Outcome.restored, now()))
        await until(lambda: len([entry for entry in read if entry.region == region]) == 3, "all three")
    ours = [entry for entry in read if entry.region == region]
    assert [type(entry) for entry in ours] == [Event, TakeoverEvent, Event]
    assert ours[1] == takeover


async def test_a_log_without_anything_young_enough_is_read_at_once(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region) as outbox:
        await outbox.record(make_event(a_command(region=region), Outcome.requested, now() - timedelta(hours=1)))
        await asyncio.sleep(1.5)
        read: list[LogEntry] = []
        log = event_log(broker, read, look_back=timedelta(seconds=0.1))
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)
            assert log.caught_up


@pytest.mark.parametrize("newest", ["a sweep", "another drain's"])
async def test_a_log_whose_newest_entry_is_old_and_unwanted_is_read_at_once(broker: RabbitMq, newest: str) -> None:
    region = fresh_region()
    settings = Settings.model_validate({"broker": {"url": broker.url}})
    wanted = None if newest == "a sweep" else mentions(["the only drain that is wanted"])
    async with an_outbox(broker, region) as outbox:
        if newest == "a sweep":
            await outbox.record_sweep(SweepReport(cluster="test", region=region, at=now()))
        else:
            await outbox.record(make_event(a_command(region=region), Outcome.requested, now()))
        await asyncio.sleep(1.5)
        log = followed_event_log(settings, look_back=timedelta(seconds=0.1), wanted=wanted)
        async with kept_up(log.link):
            await asyncio.wait_for(log.wait_until_read(), 10)


async def test_only_who_asks_for_it_is_told_what_a_sweep_came_to(broker: RabbitMq) -> None:
    region, settings = fresh_region(), Settings.model_validate({"broker": {"url": broker.url}})
    sweeps, read = LatestSweeps(), list[LogEntry]()
    finding = SweepFinding(app="ORDERS", instance_id="left", ip="10.1.0.5")
    told = followed_event_log(settings, look_back=timedelta(hours=1), on_sweep=sweeps.apply)
    untold = followed_event_log(settings, look_back=timedelta(hours=1))
    untold.readers.append(read.append)
    async with an_outbox(broker, region) as outbox, kept_up(told.link), kept_up(untold.link):
        report = SweepReport(cluster="test", region=region, at=now(), silent=1, findings=(finding,))
        await outbox.record_sweep(report)
        await outbox.record(make_event(a_command(region=region), Outcome.requested, now()))
        await until(lambda: [one for one in sweeps.all() if one.region == region] == [report], "the sweep")
        await until(lambda: any(one.region == region for one in read), "the event")


@pytest.mark.parametrize("declares", [False, True])
@pytest.mark.parametrize("later", [1, 10, 25])
async def test_a_log_that_was_deleted_is_followed_from_its_new_beginning(
    broker: RabbitMq, later: int, declares: bool
) -> None:
    """Also when it is as long as the old one was, or longer."""
    region = fresh_region()
    read: list[LogEntry] = []

    def event(name: str) -> Event:
        return make_event(a_command(region=region, drain_id=name), Outcome.requested, now())

    async with a_channel(broker) as channel:
        await channel.queue_delete(names.EVENTS)
    log = event_log(broker, read, declares=declares)
    async with an_outbox(broker, region) as outbox, kept_up(log.link):
        for number in range(10):
            await outbox.record(event(f"old-{number}"))
        await until(lambda: len(read) == 10, "the old log")
        async with a_channel(broker) as channel:
            await channel.queue_delete(names.EVENTS)
        for number in range(later):
            await until_confirmed(partial(outbox.record, event(f"new-{number}")))
        # A link that comes up when all of it is there, and one that was up before.
        await until(lambda: len(read) >= 10 + later, "the new log", timeout=15)
        await outbox.record(event("last"))
        await until(lambda: read[-1].drain_id == "last", "what comes afterwards")
        await until(lambda: log.caught_up, "caught up")
        log.link.give_up("the test asks for it")
        await until(lambda: not log.caught_up, "lost", interval=0.01)
        await until(lambda: log.caught_up, "caught up again")
    news = [f"new-{number}" for number in range(later)]
    assert [entry.drain_id for entry in read[10:]] == [*news, "last"], "each of them once, also after a lost link"


@pytest.mark.parametrize("later", [1, 10, 25])
async def test_a_log_deleted_while_the_link_was_lost_is_known_as_another(broker: RabbitMq, later: int) -> None:
    region = fresh_region()
    read: list[LogEntry] = []
    async with a_channel(broker) as channel:
        await channel.queue_delete(names.EVENTS)
    log = event_log(broker, read)
    async with an_outbox(broker, region) as outbox:
        async with kept_up(log.link):
            for number in range(10):
                await outbox.record(
                    make_event(a_command(region=region, drain_id=f"{number}"), Outcome.requested, now())
                )
            await until(lambda: len(read) == 10, "the old log")
        async with a_channel(broker) as channel:
            await channel.queue_delete(names.EVENTS)
        for number in range(later):
            event = make_event(a_command(region=region, drain_id=f"n{number}"), Outcome.requested, now())
            await until_confirmed(partial(outbox.record, event))
        read.clear()
        async with kept_up(log.link):
            await until(lambda: log.caught_up, "caught up")
    assert [entry.drain_id for entry in read] == [f"n{number}" for number in range(later)]


async def test_a_log_that_nobody_has_declared_is_read_and_is_no_trouble(broker: RabbitMq) -> None:
    async with a_channel(broker) as channel:
        await channel.queue_delete(names.EVENTS)
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["level"].name), level="INFO")
    log = event_log(broker, [])
    async with beside(log.link.run):
        await asyncio.wait_for(log.wait_until_read(), 10)
        await asyncio.sleep(2)
        assert not log.caught_up
        async with an_outbox(broker):
            await until(lambda: log.caught_up, "read once it is there")
    logger.remove(sink)
    assert set(lines) == {"INFO"}
