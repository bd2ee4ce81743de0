"""Thirty thousand message bodies through the product's consumer: each is handled or dead-lettered, none is dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader

from controller.bounds import MAX_BODY_BYTES
from controller.domain.causes import Cause
from controller.domain.commands import DrainCommand, RestoreCommand, Stage, WorkItem, make_restore
from controller.domain.events import LogEntry, Outcome, make_event, make_takeover_event
from controller.domain.held_instances import HeldInstance
from controller.domain.instances import Condition
from controller.domain.ledger import Ledger
from controller.domain.pods import Pod
from controller.domain.reason import Reason, ReasonCode
from controller.messages.codec import (
    COMMAND_TYPE,
    CONTENT_TYPE,
    EVENT_TYPE,
    RESTORE_TYPE,
    TAKEOVER_TYPE,
    decode_entry,
    encode_entry,
    encode_item,
    type_of,
)
from controller.messages.groups import GROUP_TYPE, encode_group
from controller.rabbit import names
from controller.rabbit.stream import StreamFollower
from controller.settings import BrokerSettings
from tests.fakes.virtual_time import in_virtual_time, virtual_clock
from tests.unit.building import a_command, a_living_pod, a_pod, a_progress, a_target, at, out, readings, terminating
from tests.unit.fuzz_drawn import (
    SHARE,
    Bench,
    Delivered,
    Draw,
    Published,
    RecordedSession,
    every_log_a_line,
    fuzz_async,
    registration,
)

DIFFERENT = 300
"""Valid commands from which the others are made."""


def a_drawn_pod(draw: Draw) -> Pod:
    facts: dict[str, Any] = {"ip": draw.choice(("10.1.0.7", "10.1.0.7", draw.text()[:200], ""))}
    if draw.maybe(0.3):
        facts |= {"name": draw.text()[:200], "node": draw.text()[:200], "host_network": draw.maybe(0.5)}
    if draw.maybe(0.3):
        facts |= {"annotations": {name: draw.text()[:1_000] for name in ("app", "instance-id", "port")}}
    if draw.maybe(0.2):
        facts |= {"ports": (8080, 9090), "phase": "Failed", "finished_at": at(20), "disruption": "DeletionByPodGC"}
    return terminating(a_pod(**facts))


def a_drawn_reason(draw: Draw) -> Reason:
    return Reason(code=draw.choice(list(ReasonCode)), detail=draw.text())


def a_drawn_command(draw: Draw) -> DrainCommand:
    facts: dict[str, Any] = {"cause": draw.choice(list(Cause))}
    if draw.maybe(0.3):
        facts |= {"living": (a_living_pod(ip="10.1.0.7", host_network=draw.maybe(0.5), ports=(8080,)), a_living_pod())}
    if draw.maybe(0.6):
        targets = [
            a_target(
                stage=draw.choice(list(Stage)),
                due_at=at(draw.choice((-60, 0, 0, 0, 400, 90_000))),
                renewals=draw.choice(({}, {"http://eureka/eureka": at(80)}, {"http://eureka/eureka": at(-10)})),
                silent_since=draw.choice((None, at(-500), at(0))),
                may_have_override=draw.maybe(0.3),
                attempt=draw.choice((1, 2, 5, 2**40)),
                trouble=draw.choice((None, a_drawn_reason(draw))),
                trouble_since=draw.choice((None, at(-1), at(-7_200))),
                id=draw.choice(("orders-0:orders:8080", draw.text()[:600])),
                app=draw.choice(("ORDERS", draw.text()[:600])),
            )
            for _ in range(draw.choice((0, 1, 1, 2, 4)))
        ]
        facts |= {
            "progress": a_progress(
                *targets,
                step=draw.choice((0, 7, 2**63 - 1)),
                attempt=draw.choice((1, 3, 10**9)),
                first_look_at=draw.choice((None, at(-1), at(-36))),
                trouble=draw.choice((None, a_drawn_reason(draw))),
                trouble_since=draw.choice((None, at(-1), at(-7_200))),
            )
        }
    return a_command(a_drawn_pod(draw), requested_by=draw.choice(("", draw.text()[:200])), **facts)


def a_drawn_restore(draw: Draw) -> RestoreCommand:
    held = [
        HeldInstance(
            drain_id="drain-0",
            region="eu",
            app="ORDERS",
            id=draw.choice(("orders-0:orders:8080", draw.text()[:600])),
            cause=Cause.node_lost,
            namespace="shop",
            pod="orders-0",
            uid=f"uid-{number}",
            ip=draw.choice(("10.1.0.7", draw.text()[:200])),
            since_at=at(-60),
            out_at=at(-50),
        )
        for number in range(draw.choice((1, 1, 3)))
    ]
    item = make_restore("test", "eu", a_pod(created_at=at(-30)), tuple(held), at(-1))
    return replace(item, progress=draw.choice((None, a_progress(step=3), a_progress(due_at=at(90)))))


def some_items() -> list[tuple[str, str]]:
    """Bodies, each with its message type."""
    draws = [Draw(f"item {number}") for number in range(DIFFERENT)]
    items: list[WorkItem] = [a_drawn_restore(draw) if draw.maybe(0.15) else a_drawn_command(draw) for draw in draws]
    return [(encode_item(item).decode(), type_of(item)) for item in items]


def a_drawn_message(draw: Draw, items: list[tuple[str, str]]) -> Delivered:
    whole, type_ = draw.choice(items)
    body = draw.document(whole, untouched=0.15)
    if draw.maybe(0.003):
        body += b" " * MAX_BODY_BYTES
    odd: Any = (None, EVENT_TYPE, COMMAND_TYPE, RESTORE_TYPE, "text/plain", draw.text()[:60] or None)
    return Delivered(
        body,
        type_=draw.choice(odd) if draw.maybe(0.06) else type_,
        content_type=draw.choice(odd) if draw.maybe(0.04) else CONTENT_TYPE,
        again=draw.maybe(0.2),
    )


def is_parked_as_it_came(message: Delivered, one: Published) -> bool:
    """With its reason, and so that it can be sent again unchanged."""
    return (
        one.exchange == names.DEAD
        and (one.message.body, one.message.type, one.message.content_type, one.message.message_id)
        == (message.body, message.type, message.content_type, message.message_id)
        and 0 < len(header(one, "x-reason")) <= 500
        and header(one, "x-reason-code") in ("invalid_message", "internal_error")
    )


def header(one: Published, name: str) -> str:
    return str((one.message.headers or {})[name])


async def seen_through(draw: Draw, items: list[tuple[str, str]]) -> str:
    session = RecordedSession()
    session.listed = [registration()]
    bench = Bench(session, instance_id_templates=("{name}:{ip}:{port}",))
    handled: list[WorkItem] = []
    handle = bench.worker.handle

    async def noting(item: WorkItem, redelivered: bool) -> Any:
        handled.append(item)
        return await handle(item, redelivered)

    bench.consumer._handle = noting
    message = a_drawn_message(draw, items)
    published = await bench.take(message)
    if not handled:
        assert [is_parked_as_it_came(message, one) for one in published] == [True]
        assert session.requests == []
        return "parked"
    assert handled[0].region == "eu"
    dead = [one for one in published if one.exchange == names.DEAD]
    if any(is_parked_as_it_came(message, one) for one in dead):
        return "handled, and its next step could not be written"
    if dead:
        return "given up: our error" if header(dead[0], "x-reason-code") == "internal_error" else "given up"
    await bench.follow(published, steps=2)
    return "handled"


def test_every_message_is_handled_or_dead_lettered_with_its_reason() -> None:
    items = some_items()
    assert {type_ for _, type_ in items} == {COMMAND_TYPE, RESTORE_TYPE}

    @in_virtual_time
    async def record() -> None:
        tally = await fuzz_async("bodies", lambda draw: seen_through(draw, items))
        for became in ("parked", "handled", "given up"):
            assert tally[became] > 200 // SHARE, tally

    with every_log_a_line():
        record()


def some_entries() -> list[tuple[str, str]]:
    """Entries of the event log, each with its message type."""
    draws = [Draw(f"event {number}") for number in range(60)]
    entries: list[LogEntry] = [
        make_event(
            a_drawn_command(draw),
            draw.choice(list(Outcome)),
            at(draw.randint(-100, 100)),
            reason=draw.choice((None, a_drawn_reason(draw))),
            target=draw.choice((None, a_target())),
            nodes=readings(out(), None, Condition.failing),
        )
        for draw in draws
    ]
    restores = [a_drawn_restore(draw) for draw in draws[:20]]
    entries += [make_takeover_event(restore, restore.held[0], at(3)) for restore in restores]
    alone = [(encode_entry(entry).decode(), type_of(entry)) for entry in entries]
    groups = [alone[begin : begin + 5] for begin in range(0, len(alone), 20)]
    return [
        *alone,
        *((encode_group([(body.encode(), type_) for body, type_ in one]).decode(), GROUP_TYPE) for one in groups),
    ]


def test_every_entry_of_the_event_log_is_applied_or_passed_over() -> None:
    entries = some_entries()
    assert {type_ for _, type_ in entries} == {EVENT_TYPE, TAKEOVER_TYPE, GROUP_TYPE}
    noted: list[LogEntry] = []

    async def read(draw: Draw) -> str:
        ledger = Ledger("test")
        log: StreamFollower[LogEntry] = StreamFollower(
            settings=BrokerSettings(),
            stream=names.EVENTS,
            decode=decode_entry,
            look_back=timedelta(hours=1),
            clock=virtual_clock,
        )
        log.readers = [ledger.apply, noted.append]
        before = len(noted)
        for offset in range(3):
            whole, type_ = draw.choice(entries)
            properties = spec.Basic.Properties(message_type=type_, headers={"x-stream-offset": offset})
            message = DeliveredMessage(
                delivery=spec.Basic.Deliver(delivery_tag=offset + 1),
                header=ContentHeader(properties=properties),
                body=draw.document(whole, untouched=0.3),
                channel=AsyncMock(),
            )
            await log._on_message(message)
        assert log._mark is not None
        assert log._mark.offset == 2
        return "noted" if len(noted) > before else "passed over"

    @in_virtual_time
    async def record() -> None:
        tally = await fuzz_async("events", read)
        assert min(tally["noted"], tally["passed over"]) > 200 // SHARE

    with every_log_a_line():
        record()
