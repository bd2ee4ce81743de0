"""Many ask for old drains at once: how often the log is read for them, and who is sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, cast

import pytest

from controller.app import log_reads
from controller.app.log_reads import MAX_WAITING_READERS, LogReads
from controller.domain.drain_record import DrainRecord
from controller.domain.selection import Selection
from controller.errors import BrokerError
from controller.ops.auth.refusals import OverloadedError

RECORD = cast("DrainRecord", object())


class Log:
    """Counts its readings; each takes as long as it is told to."""

    def __init__(self) -> None:
        self.readings: list[Any] = []
        self.at_once = self.most = 0
        self.go_on = asyncio.Event()
        self.trouble: Exception | None = None
        self.now = 0.0
        self.reads = LogReads(self.find, self.older, clock=lambda: self.now)

    async def _read(self, what: Any) -> None:
        self.readings.append(what)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.go_on.wait()
        self.at_once -= 1
        if self.trouble:
            raise self.trouble

    async def find(self, ids: Collection[str]) -> dict[str, DrainRecord]:
        await self._read(set(ids))
        return {one: RECORD for one in ids if one.startswith("known")}

    async def older(self, selection: Selection) -> list[DrainRecord]:
        await self._read(selection)
        return [RECORD]


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_many_unknown_drains_at_once_are_two_readings() -> None:
    log = Log()
    asking = [asyncio.create_task(log.reads.find("no-0"))]
    await turns()
    asking += [asyncio.create_task(log.reads.find(f"no-{number % 15}")) for number in range(30)]
    known = asyncio.create_task(log.reads.find("known"))
    await turns()
    log.go_on.set()
    assert await asyncio.gather(*asking) == [None] * 31
    assert await known is RECORD
    assert (len(log.readings), log.most) == (2, 1)
    assert {"known", "no-1", "no-14"} <= log.readings[1]


async def test_what_was_found_or_not_is_remembered_for_a_moment() -> None:
    log = Log()
    log.go_on.set()
    for after, readings in ((0.0, 1), (4.9, 1), (0.2, 2)):
        log.now += after
        assert await log.reads.find("no") is None
        assert len(log.readings) == readings


async def test_whoever_goes_away_spoils_nothing_and_trouble_is_everybodys() -> None:
    log = Log()
    first, second = (asyncio.create_task(log.reads.find("known")) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    log.go_on.set()
    assert await second is RECORD
    log.trouble = BrokerError("away")
    for _ in range(2):
        with pytest.raises(BrokerError, match="away"):
            await log.reads.find("other")
    log.trouble = None
    assert await log.reads.find("other") is None


async def test_no_more_than_so_many_are_sought_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reads, "MAX_SOUGHT", 3)
    log = Log()
    asking = [asyncio.create_task(log.reads.find("no-0"))]
    await turns()
    asking += [asyncio.create_task(log.reads.find(f"no-{number}")) for number in range(1, 4)]
    await turns()
    with pytest.raises(OverloadedError):
        await log.reads.find("no-4")
    again = asyncio.create_task(log.reads.find("no-3"))
    await turns()
    log.go_on.set()
    assert await asyncio.gather(*asking, again) == [None] * 5


async def test_lists_of_old_drains_are_read_one_at_a_time_and_few_may_wait() -> None:
    log = Log()
    asking = [asyncio.create_task(log.reads.older(Selection())) for _ in range(MAX_WAITING_READERS + 7)]
    await turns()
    refused = [one for one in asking if one.done()]
    assert [type(one.exception()) for one in refused] == [OverloadedError] * 6
    log.go_on.set()
    kept = await asyncio.gather(*(one for one in asking if one not in refused))
    assert kept == [[RECORD]] * (MAX_WAITING_READERS + 1)
    assert log.most == 1


async def test_whoever_waits_too_long_for_a_list_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reads, "READING_TIMEOUT", 0.05)
    log = Log()
    first = asyncio.create_task(log.reads.older(Selection()))
    await turns()
    with pytest.raises(OverloadedError):
        await log.reads.older(Selection())
    log.go_on.set()
    assert await first == [RECORD]
    assert await log.reads.older(Selection()) == [RECORD]


async def test_at_the_end_nobody_is_left_waiting() -> None:
    log = Log()
    asking = asyncio.create_task(log.reads.find("no"))
    await turns()
    await log.reads.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
