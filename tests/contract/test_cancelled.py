"""An endless task that is cancelled ends, whatever the client library is about at that moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from controller.rabbit import consumer as consuming
from controller.rabbit import topology_keeper
from tests.contract.brokers import Handled, a_consumer, an_outbox, command_for, kept_up
from tests.stack.rabbitmq import RabbitMq

ROUNDS = 60
"""Unmended, each of them went on within the first 25."""


async def ends_each_time(run: Callable[[], Coroutine[Any, Any, None]], *, within: float) -> None:
    """Cancel it at moments of the first moments of its life, again and again."""
    for seed in range(ROUNDS):
        task = asyncio.create_task(run())
        await asyncio.sleep(random.Random(seed).uniform(0, within))
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=20)
        assert done, f"it goes on after it was cancelled (round {seed})"


async def test_a_cancelled_link_ends(empty_broker: RabbitMq) -> None:
    async with an_outbox(empty_broker, "eu") as outbox:
        consumer = a_consumer(empty_broker, "eu", outbox, Handled())
        await ends_each_time(consumer.link.run, within=0.15)


async def test_a_cancelled_look_for_what_is_missing_ends(
    empty_broker: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology_keeper, "LOOK_INTERVAL", 0.001)
    monkeypatch.setattr(topology_keeper, "MIN_INTERVAL", 0.0)
    async with an_outbox(empty_broker, "eu") as outbox:
        await ends_each_time(outbox.topology.run, within=0.1)


async def test_a_cancelled_look_through_what_is_unrouted_ends(
    empty_broker: RabbitMq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "FIRST_INTERVALS", ())
    monkeypatch.setattr(consuming, "BRING_BACK_INTERVAL", 0.001)
    monkeypatch.setattr(consuming, "LOOKS_UNTIL_WHOLE", 1)
    async with an_outbox(empty_broker, "eu") as outbox:
        for number in range(5):
            await outbox.send(command_for("elsewhere", f"drain-{number}"))
        consumer = a_consumer(empty_broker, "eu", outbox, Handled())
        async with kept_up(consumer.link):
            await ends_each_time(consumer.bring_back_unrouted, within=0.1)
