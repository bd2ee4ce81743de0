"""Waiting between two tries, in virtual time."""

from __future__ import annotations

from datetime import timedelta

from controller.flows.backoff import Backoff
from tests.fakes.virtual_time import elapsed, in_virtual_time


async def waits_of(backoff: Backoff, count: int) -> list[float]:
    found = []
    for _ in range(count):
        before = elapsed()
        await backoff.wait()
        found.append(elapsed() - before)
    return found


@in_virtual_time
async def test_each_wait_is_up_to_twice_the_last_one_and_bounded() -> None:
    waits = await waits_of(Backoff(longest=timedelta(seconds=10)), 12)
    for wait, longest in zip(waits, [1, 2, 4, 8, *[10] * 8], strict=True):
        assert longest / 2 <= wait <= longest + 0.001


@in_virtual_time
async def test_after_a_reset_it_begins_anew() -> None:
    backoff = Backoff(first=timedelta(seconds=2), longest=timedelta(hours=1))
    await waits_of(backoff, 8)
    backoff.reset()
    (wait,) = await waits_of(backoff, 1)
    assert 1 <= wait <= 2.001


@in_virtual_time
async def test_replicas_do_not_wait_in_step() -> None:
    waits = {(await waits_of(Backoff(longest=timedelta(seconds=30)), 1))[0] for _ in range(10)}
    assert len(waits) > 5
