"""What the link to the broker leaves behind."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest
from aio_pika.abc import AbstractChannel

from controller.rabbit.link import Link
from controller.settings import BrokerSettings
from tests.stack.addresses import free_port
from tests.stack.waiting import until


@pytest.mark.parametrize("is_there", [False, True], ids=["refused", "closed without an answer"])
async def test_a_try_to_connect_leaves_nothing_to_whichever_thread_collects_it(is_there: bool) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def set_up(_: AbstractChannel) -> None:
        raise AssertionError("nobody there speaks AMQP")

    port = free_port()
    server = await asyncio.start_server(close, "127.0.0.1", port) if is_there else None
    link = Link(name="x", settings=BrokerSettings.model_validate({"url": f"amqp://127.0.0.1:{port}/"}), set_up=set_up)
    gc.disable()
    try:
        running = asyncio.create_task(link.run())
        await until(lambda: link.trouble, "the first try")
        await asyncio.sleep(1)  # for some more tries
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            await asyncio.to_thread(gc.collect)
        assert [str(one.message) for one in found if one.category is RuntimeWarning] == []
    finally:
        gc.enable()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if server is not None:
            server.close()
