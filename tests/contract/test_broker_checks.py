"""Doctor's checks of a real RabbitMQ: what differs, what is not permitted, and that nothing is changed."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from controller.domain.diagnostics import Check, Severity
from controller.domain.roles import Role
from controller.rabbit import names
from controller.rabbit.broker_checks import inspect
from controller.settings import BrokerSettings, SecretUrl
from tests.contract.brokers import a_channel, an_outbox, command_for, fresh_region, settings_for
from tests.stack.rabbitmq import RabbitMq

EVERY_ROLE = tuple(Role)


def wrong(checks: list[Check]) -> list[str]:
    return [f"{check.what}: {check.found}" for check in checks if check.severity is Severity.wrong]


@asynccontextmanager
async def a_user(
    broker: RabbitMq, *, configure: str = ".*", write: str = ".*", read: str = ".*"
) -> AsyncIterator[BrokerSettings]:
    """The settings of a user with these permissions and no more."""
    name, password = f"user-{secrets.token_hex(3)}", secrets.token_hex(8)
    await broker.add_user(name, password)
    await broker.permit(name, configure, write, read)
    try:
        url = SecretUrl(broker.url.replace("guest:guest", f"{name}:{password}"))
        yield BrokerSettings(url=url, timeout=timedelta(seconds=5))
    finally:
        await broker.delete_users(name)


async def test_a_declared_broker_is_in_order_and_stays_as_it_was(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region) as outbox, a_channel(broker) as channel:
        await outbox.send(command_for(region))
        checks = await inspect(settings_for(broker), regions=[region], roles=EVERY_ROLE)
        assert wrong(checks) == []
        fine = {check.what for check in checks if check.severity is Severity.ok}
        assert fine >= {"connection", "topology", "may publish", "may consume"}, checks
        [queue] = [check for check in checks if check.what == f"queue of {region}"]
        assert "1 waiting, 0 consumers" in queue.found
        assert "eureka-drain work" in queue.fix
        waiting = await channel.declare_queue(names.commands_queue(region), passive=True)
        assert waiting.declaration_result.message_count == 1, "what waited still waits, and nothing came to it"


async def test_a_queue_with_other_arguments_is_named_with_the_argument(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region), a_channel(broker) as channel:
        await channel.queue_delete(names.dead_queue(region))
        await channel.declare_queue(
            names.dead_queue(region), durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 7}
        )
        checks = await inspect(settings_for(broker), regions=[region], roles=EVERY_ROLE)
    [found] = [check for check in checks if check.severity is Severity.wrong]
    assert found.what == f"queue {names.dead_queue(region)}"
    assert "x-delivery-limit" in found.found
    assert "delete it" in found.fix


async def test_what_is_undeclared_is_no_mistake_and_a_look_declares_nothing(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, fresh_region()):
        checks = await inspect(settings_for(broker), regions=[region], roles=EVERY_ROLE)
    assert wrong(checks) == []
    [topology] = [check for check in checks if check.what == "topology"]
    assert topology.severity is Severity.advice
    assert names.commands_queue(region) in topology.found
    async with a_channel(broker) as channel:
        with pytest.raises(Exception, match="NOT_FOUND"):
            await channel.declare_queue(names.commands_queue(region), passive=True)


@pytest.mark.parametrize(
    ("permissions", "what", "expected"),
    [
        ({"write": "^(?!amq.default$).*"}, "may publish", "amq.default"),
        ({"write": "^(?!drain.delay.03$).*"}, "may publish", "drain.delay.03"),
        ({"read": "^(?!drain.events$).*"}, "may consume", "drain.events"),
        ({"read": "^(?!drain.ends$).*"}, "may consume", "drain.ends"),
    ],
    ids=["no events written", "one delay not written", "no events read", "no ends read"],
)
async def test_a_missing_permission_is_named(
    broker: RabbitMq, permissions: dict[str, str], what: str, expected: str
) -> None:
    region = fresh_region()
    async with an_outbox(broker, region), a_user(broker, **permissions) as settings:
        checks = await inspect(settings, regions=[region], roles=EVERY_ROLE)
    found = [check for check in checks if check.severity is Severity.wrong and check.what == what]
    assert found, wrong(checks)
    assert any(expected in check.found for check in found)
    assert all("docs/permissions.md" in check.fix for check in found)


async def test_who_may_not_declare_need_not_where_everything_is_there(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, region), a_user(broker, configure="^$") as settings:
        checks = await inspect(settings, regions=[region], roles=EVERY_ROLE)
    assert wrong(checks) == []
    [topology] = [check for check in checks if check.what == "topology"]
    assert "may not declare" in topology.found


async def test_what_is_missing_and_may_not_be_declared_is_wrong_and_mended(broker: RabbitMq) -> None:
    region = fresh_region()
    async with an_outbox(broker, fresh_region()), a_user(broker, configure=f"^(?!.*{region}).*$") as settings:
        checks = await inspect(settings, regions=[region], roles=EVERY_ROLE)
    [found] = [check for check in checks if check.severity is Severity.wrong]
    assert found.what == "topology"
    assert names.commands_queue(region) in found.found
    assert "eureka-drain topology declare" in found.fix


async def test_a_broker_that_refuses_or_is_away_is_reported_without_password(broker: RabbitMq) -> None:
    async with a_user(broker) as settings:
        url = settings.url.get_secret_value()
    gone = BrokerSettings(url=SecretUrl(url), timeout=timedelta(seconds=5))
    elsewhere = BrokerSettings(url=SecretUrl("amqp://guest:hidden@127.0.0.1:1/"), timeout=timedelta(seconds=5))
    other_host = BrokerSettings(url=SecretUrl(broker.url.rstrip("/") + "/nowhere"), timeout=timedelta(seconds=5))
    for settings, expected, fix in (
        (gone, "user or the password", "a user that the broker knows"),
        (elsewhere, "cannot be reached", "host and port"),
        (other_host, "virtual host", "virtual host"),
    ):
        [check] = await inspect(settings, regions=["eu"], roles=EVERY_ROLE)
        assert check.severity is Severity.wrong
        assert expected in check.found
        assert fix in check.fix
        assert settings.url.get_secret_value().split(":")[2].partition("@")[0] not in check.found.replace("guest", "")


async def test_each_of_several_hosts_is_tried_and_the_one_that_is_down_named(broker: RabbitMq) -> None:
    region, up, down = fresh_region(), f"127.0.0.1:{broker.port}", "127.0.0.1:1"
    settings = BrokerSettings(hosts=[down, up], timeout=timedelta(seconds=5))
    async with an_outbox(broker, region):
        checks = await inspect(settings, regions=[region], roles=EVERY_ROLE)
    [found] = [check for check in checks if check.severity is Severity.wrong]
    assert found.what == f"host {down}"
    assert "broker.hosts" in found.fix
    assert [check.severity for check in checks if check.what == f"host {up}"] == [Severity.ok]
