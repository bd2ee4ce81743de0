"""One at a time for each key."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.flows.exclusion import Exclusion


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=25))
@settings(max_examples=60, deadline=None)
def test_each_key_is_served_one_at_a_time_in_order_whoever_gives_up(
    visits: list[tuple[str, int, bool]],
) -> None:
    async def record() -> None:
        exclusion, inside, served = Exclusion(), set[str](), list[tuple[str, int]]()

        async def visit(number: int, key: str, pauses: int) -> None:
            async with exclusion.hold(key):
                assert key not in inside
                inside.add(key)
                served.append((key, number))
                try:
                    for _ in range(pauses):
                        await asyncio.sleep(0)
                finally:
                    inside.discard(key)

        tasks = [asyncio.ensure_future(visit(number, key, pauses)) for number, (key, pauses, _) in enumerate(visits)]
        await asyncio.sleep(0)
        for task, (_, _, gives_up) in zip(tasks, visits, strict=True):
            if gives_up:
                task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        for key in "abc":
            numbers = [number for served_key, number in served if served_key == key]
            assert numbers == sorted(numbers)
        stayed = {number for number, (_, _, gives_up) in enumerate(visits) if not gives_up}
        assert stayed <= {number for _, number in served}
        assert not exclusion._locks, "a key that nobody holds is forgotten"

    asyncio.run(record())


async def test_different_keys_do_not_wait_for_each_other() -> None:
    exclusion = Exclusion()
    async with exclusion.hold("a"), asyncio.timeout(1), exclusion.hold("b"):
        assert exclusion._locks.keys() == {"a", "b"}


async def test_a_failure_inside_frees_the_key() -> None:
    exclusion = Exclusion()
    with suppress(RuntimeError):
        async with exclusion.hold("a"):
            raise RuntimeError
    async with asyncio.timeout(1), exclusion.hold("a"):
        pass
    assert not exclusion._locks
