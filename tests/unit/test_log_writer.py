"""Entries that come together are written together; one that comes alone is written as ever, and at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from controller.bounds import MAX_GROUP_BYTES, MAX_GROUPED
from controller.domain.events import Event, LogEntry, Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.errors import BrokerError
from controller.messages.codec import EVENT_TYPE, decode_entry, encode_entry
from controller.messages.groups import parts_of
from controller.rabbit.log_writer import MAX_UNCONFIRMED, LogWriter
from tests.unit.building import a_command, at

TRACE = ContextVar("TRACE", default="")


def entry(number: int, *, detail: str = "") -> Event:
    reason = Reason(code=ReasonCode.unreachable, detail=detail)
    return make_event(a_command(drain_id=f"d{number}"), Outcome.retrying, at(number), reason=reason)


class Broker:
    """Confirms what is published when the test says so."""

    def __init__(self) -> None:
        self.published: list[tuple[bytes, str, str]] = []
        self.traces: set[str] = set()
        self.confirms = asyncio.Event()
        self.failure: Exception | None = None

    async def publish(self, body: bytes, type_: str, message_id: str) -> None:
        self.published.append((body, type_, message_id))
        self.traces.add(TRACE.get())
        await self.confirms.wait()
        if self.failure is not None:
            raise self.failure

    def entries(self) -> list[Sequence[LogEntry]]:
        """What each message holds."""
        return [[decode_entry(*part) for part in parts_of(body, type_)] for body, type_, _ in self.published]


async def begun(writer: LogWriter, entries: Sequence[LogEntry]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(writer.write(one)) for one in entries]
    await asyncio.sleep(0.01)
    return tasks


async def test_one_alone_is_written_at_once_and_as_it_is() -> None:
    broker = Broker()
    broker.confirms.set()
    for number in range(3):
        await LogWriter(broker.publish).write(entry(number))
    assert broker.published == [
        (encode_entry(entry(number)), EVENT_TYPE, entry(number).event_id) for number in range(3)
    ]


async def test_what_comes_while_others_are_not_confirmed_shares_messages() -> None:
    broker = Broker()
    entries = [entry(number) for number in range(MAX_UNCONFIRMED + MAX_GROUPED + 3)]
    writing = await begun(LogWriter(broker.publish), entries)
    assert broker.entries() == [[one] for one in entries[:MAX_UNCONFIRMED]]
    broker.confirms.set()
    await asyncio.gather(*writing)
    assert [len(group) for group in broker.entries()] == [1] * MAX_UNCONFIRMED + [MAX_GROUPED, 3]
    assert [one for group in broker.entries() for one in group] == entries


async def test_a_group_is_hardly_larger_than_its_bound() -> None:
    broker = Broker()
    entries = [entry(number, detail="x" * 1_900) for number in range(60)]
    writing = await begun(LogWriter(broker.publish), entries)
    broker.confirms.set()
    await asyncio.gather(*writing)
    assert [one for group in broker.entries() for one in group] == entries
    groups = [body for body, _, _ in broker.published[MAX_UNCONFIRMED:]]
    assert len(groups) > 2
    assert all(len(body) < MAX_GROUP_BYTES * 1.1 for body in groups)


async def test_each_of_a_group_that_is_not_confirmed_is_told_so() -> None:
    broker = Broker()
    broker.failure = BrokerError("the broker did not confirm (why)")
    writing = await begun(LogWriter(broker.publish), [entry(number) for number in range(MAX_UNCONFIRMED + 5)])
    broker.confirms.set()
    results = await asyncio.gather(*writing, return_exceptions=True)
    assert {(type(one), str(one)) for one in results} == {(BrokerError, "the broker did not confirm (why)")}
    assert len({id(one) for one in results}) == len(results)


async def test_a_mistake_of_ours_keeps_nobody_waiting() -> None:
    broker = Broker()
    broker.failure = KeyError("what")
    broker.confirms.set()
    with pytest.raises(KeyError):
        await asyncio.wait_for(LogWriter(broker.publish).write(entry(0)), 1)


async def test_what_nobody_waits_for_any_more_is_not_written_later() -> None:
    broker = Broker()
    entries = [entry(number) for number in range(MAX_UNCONFIRMED + 3)]
    writing = await begun(LogWriter(broker.publish), entries)
    writing[MAX_UNCONFIRMED].cancel()
    await asyncio.gather(writing[MAX_UNCONFIRMED], return_exceptions=True)
    broker.confirms.set()
    await asyncio.gather(*writing, return_exceptions=True)
    assert broker.entries()[MAX_UNCONFIRMED:] == [entries[MAX_UNCONFIRMED + 1 :]]


async def test_whoever_goes_away_takes_no_others_along() -> None:
    broker = Broker()
    entries = [entry(number) for number in range(MAX_UNCONFIRMED)]
    writing = await begun(LogWriter(broker.publish), entries)
    writing[0].cancel()
    broker.confirms.set()
    results = await asyncio.gather(*writing, return_exceptions=True)
    assert [type(one) for one in results] == [asyncio.CancelledError, *[type(None)] * (MAX_UNCONFIRMED - 1)]


async def test_no_trace_is_passed_on_by_what_many_share() -> None:
    broker = Broker()
    broker.confirms.set()
    TRACE.set("one drain's")
    await LogWriter(broker.publish).write(entry(0))
    assert broker.traces == {""}
