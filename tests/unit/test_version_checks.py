"""What doctor says of a broker that cannot keep what it is given."""

from __future__ import annotations

import pytest

from controller.domain.diagnostics import Severity
from controller.rabbit.version_checks import look_at_kind, look_at_version
from controller.settings import BrokerSettings, SecretUrl

ID = "b-1234a5b6-78cd-901e-2fgh-3i45j6k17819"


@pytest.mark.parametrize(
    "version", ["RabbitMQ 3.10.8", "RabbitMQ 3.13.7", "RabbitMQ 4.0.5", "RabbitMQ 10.0", "answers"]
)
def test_a_version_that_can_delay_is_not_mentioned(version: str) -> None:
    assert look_at_version("broker", version) == []


@pytest.mark.parametrize("version", ["RabbitMQ 3.9.29", "RabbitMQ 3.8.0", "RabbitMQ 2.8.7"])
def test_an_older_one_is_wrong(version: str) -> None:
    [check] = look_at_version("broker", version)
    assert (check.severity, check.what) == (Severity.wrong, "version")
    assert check.found.startswith(version)


@pytest.mark.parametrize(
    "settings",
    [
        BrokerSettings(url=SecretUrl(f"amqps://u:p@{ID}.mq.us-east-1.amazonaws.com:5671/")),
        BrokerSettings(url=SecretUrl(f"amqps://u:p@{ID}.mq.cn-north-1.amazonaws.com.cn/")),
        BrokerSettings(url=SecretUrl(f"amqps://{ID}-1.mq.eu-west-1.on.aws/drain")),
        BrokerSettings(hosts=["rabbit.infra", f"{ID}.mq.us-east-1.amazonaws.com:5671"]),
    ],
)
def test_amazon_mq_is_wrong_for_it_loses_streams(settings: BrokerSettings) -> None:
    [check] = look_at_kind("broker", settings.urls)
    assert (check.severity, check.what) == (Severity.wrong, "streams")


@pytest.mark.parametrize("host", ["rabbitmq.infra", "ec2-3-4-5-6.compute-1.amazonaws.com", "mq.amazonaws.com.example"])
def test_a_broker_on_a_machine_of_ones_own_is_not(host: str) -> None:
    assert look_at_kind("broker", [SecretUrl(f"amqp://{host}/")]) == []
