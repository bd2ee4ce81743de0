"""``eureka-drain topology`` on a real broker: what it shows, what it makes, and what it moves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.app.commands.broker_topology import declare_all, find_abandoned, move, show
from controller.domain.causes import Cause
from controller.domain.commands import make_restore
from controller.domain.events import Outcome, make_event
from controller.domain.held_instances import HeldInstance
from controller.errors import SettingsError
from controller.messages.codec import COMMAND_TYPE, CONTENT_TYPE, decode_item
from controller.rabbit import names
from controller.rabbit.topology_survey import check_abandoned
from controller.settings import Settings
from tests.contract.brokers import (
    Handled,
    a_channel,
    a_consumer,
    an_outbox,
    command_for,
    kept_up,
    next_of,
    settings_for,
)
from tests.stack.rabbitmq import RabbitMq
from tests.unit.building import NOON, a_pod, a_progress, a_reason

OLD = "eu-old"
NODES = {"nodes": ["http://127.0.0.1:1/eureka"]}


@pytest.fixture(name="broker")
def vhost_of_our_own(empty_broker: RabbitMq) -> RabbitMq:
    return empty_broker


def settings_of(broker: RabbitMq, *regions: str) -> Settings:
    settings = Settings.model_validate({"regions": dict.fromkeys(regions, NODES)})
    return settings.model_copy(update={"broker": settings_for(broker)})


async def shown(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit status, and each part by kind and name."""
    capsys.readouterr()
    status = await show(settings, as_json=True)
    parts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, {f"{part['kind']} {part['name']}": part for part in parts}


async def test_an_empty_broker_lacks_everything_until_it_is_declared(
    broker: RabbitMq, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(broker, "eu")
    status, parts = await shown(settings, capsys)
    assert status == 1
    assert {part["state"] for part in parts.values()} == {"missing"}
    assert {"exchange", "queue", "stream", "binding"} == {part["kind"] for part in parts.values()}
    assert await declare_all(settings) == 0
    assert "declared stream drain.events" in capsys.readouterr().out
    status, parts = await shown(settings, capsys)
    assert status == 0
    assert {(part["kind"], part["state"]) for part in parts.values()} == {
        ("exchange", "present"), ("queue", "present"), ("stream", "present"), ("binding", "unknown"),
    }  # fmt: skip
    assert await declare_all(settings) == 0
    assert capsys.readouterr().out == ""


async def test_what_is_missing_or_different_is_named_with_what_waits(
    broker: RabbitMq, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(broker, "eu")
    async with an_outbox(broker, "eu") as outbox, a_channel(broker) as channel:
        await outbox.send(command_for("eu"))
        await channel.exchange_delete(names.DEAD)
        await channel.queue_delete(names.dead_queue("eu"))
        await channel.declare_queue(names.dead_queue("eu"), durable=True, arguments={"x-queue-type": "quorum"})
    status, parts = await shown(settings, capsys)
    assert status == 1
    assert parts["queue drain.commands.eu"]["messages"] == 1
    assert parts["exchange drain.dead"]["state"] == "missing"
    assert parts["binding drain.dead -> drain.dead.eu (eu)"]["state"] == "missing"
    assert parts["queue drain.dead.eu"]["state"] == "different"
    assert "x-delivery-limit" in parts["queue drain.dead.eu"]["detail"]
    assert await show(settings, as_json=False) == 1
    assert "drain.dead.eu" in capsys.readouterr().out


async def fill(broker: RabbitMq) -> None:
    """Have things wait for a region: a command, a command with progress, a restore, an unrouted one, a dead letter."""
    held = HeldInstance(
        drain_id="d", region=OLD, app="ORDERS", id="i", cause=Cause.terminating, namespace="shop", pod="orders-0",
        uid="uid-1", ip="10.1.0.7", since_at=NOON, out_at=NOON,
    )  # fmt: skip
    async with an_outbox(broker) as outbox:
        await outbox.send(command_for(OLD, "unrouted"))
        await outbox.send(command_for("mars", "mars"))
        await outbox._publish(names.COMMANDS, OLD, b"not ours, unrouted", COMMAND_TYPE, "foreign-1")
    async with an_outbox(broker, OLD) as outbox:
        await outbox.send(command_for(OLD, "fresh"))
        await outbox.send(replace(command_for(OLD, "begun"), progress=a_progress(attempt=3)))
        await outbox.send(make_restore("test", OLD, a_pod("uid-2"), (held,), NOON))
        await outbox._publish(names.COMMANDS, OLD, b"not ours", COMMAND_TYPE, "foreign-2")
        await outbox.dead_letter(OLD, command_for(OLD, "dead"), a_reason("given up"))
        await outbox.record(make_event(command_for(OLD, "fresh"), Outcome.requested, datetime.now(UTC)))


async def test_queues_of_a_region_that_is_no_more_are_found(
    broker: RabbitMq, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(broker, "eu")
    await declare_all(settings)
    await fill(broker)
    status, parts = await shown(settings, capsys)
    assert status == 0
    abandoned = {name: part["messages"] for name, part in parts.items() if part["state"] == "abandoned"}
    assert abandoned == {f"queue drain.commands.{OLD}": 4, f"queue drain.dead.{OLD}": 1}
    fixes = {check.what: check.fix for check in check_abandoned(await find_abandoned(settings))}
    assert f"topology move --from {OLD}" in fixes[f"queue drain.commands.{OLD}"]
    assert f"dead --region {OLD}" in fixes[f"queue drain.dead.{OLD}"]
    # With an outbox alone the keys of what is unrouted name the region; somebody else's region is nobody's to move.
    async with an_outbox(broker, OLD) as outbox, kept_up(a_consumer(broker, OLD, outbox, Handled()).link):
        assert await find_abandoned(settings) == []


async def test_what_waits_is_moved_and_what_is_not_ours_stays(
    broker: RabbitMq, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(broker, "eu")
    await declare_all(settings)
    await fill(broker)
    capsys.readouterr()
    assert await move(settings, OLD, "eu") == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 4
    assert told.err.count("foreign-") == 2
    async with a_channel(broker) as channel:
        items = []
        for _ in range(4):
            message = await next_of(channel, names.commands_queue("eu"))
            items.append(decode_item(message.body, type_=message.type, content_type=CONTENT_TYPE))
        assert {item.region for item in items} == {"eu"}
        assert {item.drain_id for item in items} >= {"fresh", "begun", "unrouted"}
        [restore] = [item for item in items if item.drain_id not in {"fresh", "begun", "unrouted"}]
        assert [one.region for one in restore.held] == ["eu"]  # type: ignore[union-attr]
        [begun] = [item for item in items if item.drain_id == "begun"]
        assert begun.progress == a_progress(attempt=3)
        left = await channel.declare_queue(names.commands_queue(OLD), passive=True)
        assert left.declaration_result.message_count == 1
        unrouted = await channel.declare_queue(names.UNROUTED, passive=True)
        assert unrouted.declaration_result.message_count == 2, "another region's, and what is not ours"
    assert await move(settings, OLD, "eu") == 1
    assert "0 moved" in capsys.readouterr().err


async def test_what_travels_arrives_later_and_is_moved_by_the_next_run(broker: RabbitMq) -> None:
    settings = settings_of(broker, "eu")
    await declare_all(settings)
    async with an_outbox(broker) as outbox, a_channel(broker) as channel:
        await outbox.postpone(command_for(OLD, "late"), timedelta(seconds=1))
        assert await move(settings, OLD, "eu") == 0
        message = await next_of(channel, names.UNROUTED)
        await outbox.keep_unrouted(message)
        assert await move(settings, OLD, "eu") == 0
        assert (await next_of(channel, names.commands_queue("eu"))).message_id == "late.terminating"


@pytest.mark.parametrize(
    ("source", "target", "text"), [("eu", "us", "--from eu"), (OLD, "mars", "--to mars"), ("E U", "eu", "--from E U")]
)
async def test_a_move_between_the_wrong_regions_is_refused(
    broker: RabbitMq, source: str, target: str, text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        await move(settings_of(broker, "eu", "us"), source, target)
