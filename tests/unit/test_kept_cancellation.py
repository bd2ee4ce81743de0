"""What becomes of a cancellation that somebody swallows within."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from controller.errors import BrokerError
from controller.rabbit.kept_cancellation import kept_cancellation
from controller.rabbit.link import as_broker_error


async def swallow() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def fail_when_cancelled() -> None:
    await swallow()
    raise BrokerError("closed")


async def stay() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("within", [swallow, fail_when_cancelled])
async def test_a_cancellation_that_is_lost_within_is_raised_all_the_same(
    within: Callable[[], Awaitable[None]],
) -> None:
    async def go_on() -> None:
        with as_broker_error("asked"):
            await within()

    task = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_what_is_cleaned_up_after_a_cancellation_is_not_cancelled_again() -> None:
    cleaned = False

    async def go_on() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            with kept_cancellation():
                await stay()
            cleaned = True

    task = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert (task.cancelled(), cleaned) == (True, True)


def cut_off() -> asyncio.Future[None]:
    """What the library makes of a call that is under way while its connection is closed."""
    call = asyncio.get_running_loop().create_future()
    call.set_exception(asyncio.CancelledError)
    return call


async def test_what_nobody_has_cancelled_is_not_cancelled() -> None:
    with pytest.raises(BrokerError, match=r"asked \(the connection was closed"), as_broker_error("asked"):
        await cut_off()


async def test_it_is_not_cancelled_within_a_timeout_of_its_own() -> None:
    with pytest.raises(BrokerError, match=r"asked \(the connection was closed"), as_broker_error("asked"):
        async with asyncio.timeout(60):
            await cut_off()


async def test_a_timeout_around_it_is_a_timeout() -> None:
    async def ask() -> None:
        with as_broker_error("asked"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(), 0.01)


async def test_a_timeout_of_its_own_is_a_timeout() -> None:
    with pytest.raises(BrokerError, match=r"asked \(TimeoutError\)"), as_broker_error("asked"):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_an_error_without_a_cancellation_is_that_error() -> None:
    with pytest.raises(BrokerError, match="closed"), kept_cancellation():
        raise BrokerError("closed")
