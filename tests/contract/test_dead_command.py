"""``dead requeue`` on the real broker, while others look or take."""

from __future__ import annotations

import asyncio

import pytest

from controller.app.commands.dead_letters import DeadLetterRequest, dead
from controller.app.dead_listing import look_at_dead_letters
from controller.domain.replay_plan import Requester
from controller.domain.selection import Selection
from controller.rabbit import dead_letter_queue, names
from controller.settings import RegionSettings, SecretUrl, Settings
from controller.signals import beside
from tests.contract.brokers import a_channel, settings_for
from tests.contract.dead_letters import parked, settled_down, waiting
from tests.stack.rabbitmq import RabbitMq
from tests.unit.building import NOON

BY = Requester(by="operator@example", at=NOON, why="tried again")
REQUEUE = DeadLetterRequest(selection=Selection(), requester=BY, action="requeue")


def settings_of(broker: RabbitMq, region: str) -> Settings:
    nodes = RegionSettings(nodes=[SecretUrl("http://127.0.0.1:1/eureka")])
    return Settings(broker=settings_for(broker, timeout=20), regions={region: nodes})


async def test_all_are_sent_again_while_viewers_poll_the_page(
    broker: RabbitMq, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parked(broker, 300) as (region, _):
        settings = settings_of(broker, region)

        async def poll() -> None:
            while True:
                await look_at_dead_letters(settings)
                await asyncio.sleep(0.01)

        async with beside(poll), beside(poll):
            await asyncio.sleep(0.5)
            assert await dead(settings, REQUEUE) == 0
        await settled_down(broker, region, 0)
        assert "300 of 300 sent again" in capsys.readouterr().err
        async with a_channel(broker) as channel:
            queue = await channel.declare_queue(names.commands_queue(region), passive=True)
            assert queue.declaration_result.message_count == 300


async def test_what_could_not_be_seen_is_said_with_its_number(
    broker: RabbitMq, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parked(broker, 10) as (region, _), a_channel(broker) as channel:
        queue = await channel.get_queue(names.dead_queue(region))
        fetch = dead_letter_queue.RabbitDeadLetterQueue._fetch
        taken: list[object] = []

        async def take_first(letters: dead_letter_queue.RabbitDeadLetterQueue) -> bool:
            while len(taken) < 4:  # somebody with another program
                taken.append(await queue.get())
            return await fetch(letters)

        monkeypatch.setattr(dead_letter_queue.RabbitDeadLetterQueue, "_fetch", take_first)
        assert await dead(settings_of(broker, region), REQUEUE) == 1
        shown = capsys.readouterr().err
        assert "6 of 6 sent again" in shown
        assert f"4 of {region} could not be seen" in shown
        assert await waiting(broker, region) == 0
