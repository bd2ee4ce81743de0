"""A broker that takes what is published and confirms nothing, beside another one that would."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pydantic import SecretStr

from controller.errors import BrokerError
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings, SecretUrl
from tests.contract.brokers import command_for, fresh_region, kept_up
from tests.contract.test_broker_outages import sent_at_last
from tests.stack.rabbitmq import RabbitMq
from tests.stack.toxiproxy import Proxy, Toxiproxy

SOONER_THAN_BY_HEARTBEATS = 20.0
"""Seconds: three heartbeats are 30."""


@pytest_asyncio.fixture(loop_scope="session")
async def proxies(broker: RabbitMq, toxiproxy: Toxiproxy) -> list[Proxy]:
    """Two ways to the broker, which stand for two of its nodes."""
    port = urlsplit(broker.url).port
    assert port is not None
    return [await toxiproxy.before(name, port) for name in ("first", "second")]


async def test_what_a_silent_broker_does_not_confirm_another_host_does(broker: RabbitMq, proxies: list[Proxy]) -> None:
    region, login = fresh_region(), urlsplit(broker.url)
    settings = BrokerSettings(
        hosts=[f"127.0.0.1:{proxy.port}" for proxy in proxies],
        username=SecretStr(login.username or "guest"),
        password=SecretStr(login.password or "guest"),
        timeout=timedelta(seconds=1),
    )
    outbox = RabbitOutbox(settings=settings, regions=[region])
    async with kept_up(outbox.link):
        await sent_at_last(outbox, region, "before")
        await proxies[0].hang()
        await sent_at_last(outbox, region, "after", timeout=SOONER_THAN_BY_HEARTBEATS)


async def test_what_is_under_way_when_a_link_is_given_up_is_not_confirmed(
    broker: RabbitMq, proxies: list[Proxy]
) -> None:
    """Its task is not cancelled: it would end without a word, and what it holds would be held for ever."""
    region = fresh_region()
    url = broker.url.replace(f":{urlsplit(broker.url).port}", f":{proxies[0].port}")
    outbox = RabbitOutbox(settings=BrokerSettings(url=SecretUrl(url), timeout=timedelta(seconds=5)), regions=[region])
    async with kept_up(outbox.link):
        await sent_at_last(outbox, region, "before")
        await proxies[0].hang()
        under_way = asyncio.create_task(outbox.send(command_for(region, "under way")))
        await asyncio.sleep(1)
        outbox.link.give_up("for a try")
        with pytest.raises(BrokerError, match="the connection was closed"):
            await under_way
