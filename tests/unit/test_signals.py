"""How a long process stops, and how it ends when something in it ends."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from controller.signals import TaskEndedError, run_until_stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_runs_stop_first_and_only_then_cancels_the_tasks(number: signal.Signals) -> None:
    record: list[str] = []

    async def serve() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            record.append("task cancelled")

    async def stop() -> None:
        record.append("stop begins")
        await asyncio.sleep(0.01)
        record.append("stop ends")

    await asyncio.wait_for(run_until_stopped({"serve": serve}, stop=stop), 5)
    assert record == ["stop begins", "stop ends", "task cancelled"]


async def test_a_task_that_ends_by_itself_ends_the_group_with_its_name() -> None:
    cancelled = asyncio.Event()
    stopped = False

    async def end() -> None:
        await asyncio.sleep(0)

    async def serve() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def stop() -> None:
        nonlocal stopped
        stopped = True

    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(run_until_stopped({"short": end, "long": serve}, stop=stop), 5)
    [error] = caught.value.exceptions
    assert isinstance(error, TaskEndedError)
    assert "short" in str(error)
    assert cancelled.is_set()
    assert not stopped


async def test_a_task_that_fails_ends_the_group_with_its_error() -> None:
    async def fail() -> None:
        raise LookupError("lost")

    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(run_until_stopped({"fail": fail}, stop=_nothing), 5)
    assert caught.group_contains(LookupError, match="lost")


async def test_a_task_that_fails_while_stopping_is_not_hidden_by_the_stop() -> None:
    async def serve() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while closing")

    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(run_until_stopped({"serve": serve}, stop=_nothing), 5)
    assert caught.group_contains(LookupError)


async def test_a_stop_that_fails_is_reported() -> None:
    async def serve() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def stop() -> None:
        raise LookupError("cannot stop")

    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(run_until_stopped({"serve": serve}, stop=stop), 5)
    assert caught.group_contains(LookupError)


async def test_the_signals_are_given_back_afterwards() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(BaseExceptionGroup):
        await run_until_stopped({"fail": fail}, stop=_nothing)
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


async def _nothing() -> None:
    pass
