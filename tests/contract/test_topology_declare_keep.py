"""``eureka-drain topology declare --keep`` as a process, beside one that may not declare, on the real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity

from controller.rabbit import names
from tests.contract.brokers import fresh_region
from tests.contract.test_permissions import RIGHTS, Users
from tests.stack.controller_process import ControllerProcess
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until

REGIONS = {"eu": ["http://127.0.0.1:1/eureka"], "us": ["http://127.0.0.1:1/eureka"]}


async def exists(url: str, name: str) -> bool:
    async with await aio_pika.connect(url) as connection:
        try:
            await (await connection.channel()).declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def delete(url: str, name: str) -> None:
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).queue_delete(name)


@pytest.fixture
async def users(broker: RabbitMq) -> AsyncIterator[Users]:
    users = Users(broker)
    yield users
    await users.remove()


async def test_what_is_deleted_is_there_again_and_named_until_then(
    broker: RabbitMq, users: Users, tmp_path: Path
) -> None:
    vhost = f"keep-{fresh_region()}"
    topology, ops = await users.make([RIGHTS["topology"], RIGHTS["ops"]], vhost=vhost)
    keeper = ControllerProcess(
        "topology", "declare", "--keep",
        log=tmp_path / "keeper.log", broker=topology.url.get_secret_value(), regions=REGIONS,
    )  # fmt: skip
    page = ControllerProcess(
        "ops", log=tmp_path / "ops.log", broker=ops.url.get_secret_value(), regions=REGIONS,
        settings={"ops.kubernetes": "false"},
    )  # fmt: skip
    everything = users.settings("guest", "guest", vhost).url.get_secret_value()
    try:
        page.spawn()

        async def names_what_is_missing() -> bool:
            return "[-] topology declared: the broker lacks drain." in await page.readiness()

        await until(names_what_is_missing, "the page names what is missing", timeout=60)
        assert "eureka-drain topology declare" in await page.readiness()
        await keeper.start()
        await until(page.is_ready, "the page is ready", timeout=60)
        about_the_broker = [line for line in page.log.read_text().splitlines() if "registry not fetched" not in line]
        assert [line for line in about_the_broker if "WARNING" in line] == [], "it was only waited for"
        assert sum("waiting for what is not declared yet" in line for line in about_the_broker) >= 1
        for name in (names.dead_queue("us"), names.EVENTS, names.dead_lock("eu")):
            await delete(everything, name)

            async def is_back(name: str = name) -> bool:
                return await exists(everything, name)

            await until(is_back, f"{name} is declared again", timeout=15)
        await keeper.stop()
        assert keeper.returncode == 0
    finally:
        await asyncio.gather(page.kill(), keeper.kill())
