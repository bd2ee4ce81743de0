"""The broker by its hosts, in place of one URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controller.rotation import renewed
from controller.settings import BrokerSettings, Settings

CANARY = "c4narY/@:%"


def broker(**values: Any) -> BrokerSettings:
    return Settings.model_validate({"broker": values}).broker


def urls(**values: Any) -> list[str]:
    return [url.get_secret_value() for url in broker(**values).urls]


def test_without_hosts_the_url_is_where_the_broker_is() -> None:
    assert urls() == ["amqp://guest:guest@127.0.0.1:5672/"]
    assert urls(url="amqps://u:p@b/v") == ["amqps://u:p@b/v"]


def test_each_host_has_the_user_and_the_virtual_host() -> None:
    assert urls(hosts="a,b:5673,[::1]:5674", username="u@x", password="p/:%", vhost="dr/ain") == [
        "amqp://u%40x:p%2F%3A%25@a:5672/dr%2Fain",
        "amqp://u%40x:p%2F%3A%25@b:5673/dr%2Fain",
        "amqp://u%40x:p%2F%3A%25@[::1]:5674/dr%2Fain",
    ]
    assert urls(hosts=["a"]) == ["amqp://a:5672/"]
    assert urls(hosts=["a"], vhost="/") == ["amqp://a:5672/%2F"]


def test_a_url_is_completed_by_what_comes_from_secrets_of_their_own() -> None:
    assert urls(url="amqp://b:1/v", username="u", password="p") == ["amqp://u:p@b:1/v"]
    assert urls(url="amqp://u:old@b/v", password="new") == ["amqp://u:new@b/v"]
    assert urls(url="amqps://u:p@b/v?x=1", vhost="w") == ["amqps://u:p@b/w?x=1"]


def test_there_is_tls_at_its_port_and_where_a_certificates_file_is_set() -> None:
    assert urls(hosts=["a:5671", "a"]) == ["amqps://a:5671/", "amqp://a:5672/"]
    assert urls(hosts=["a", "b:1"], ca_file=Path("ca.crt")) == ["amqps://a:5671/", "amqps://b:1/"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"hosts": ["amqp://a"]}, "write each as host or host:port"),
        ({"hosts": ["u:p@a"]}, "write each as host or host:port"),
        ({"hosts": ["a/b"]}, "write each as host or host:port"),
        ({"hosts": ["a:"]}, "write each as host or host:port"),
        ({"hosts": ["a:0"]}, "write each as host or host:port"),
        ({"hosts": ["a:x"]}, "write each as host or host:port"),
        ({"hosts": ["a b"]}, "write each as host or host:port"),
        ({"hosts": ["a?x=1"]}, "write each as host or host:port"),
        ({"hosts": [""]}, "write each as host or host:port"),
        ({"hosts": ["a"] * 17}, "at most 16"),
        ({"hosts": ["a"], "url": "amqp://u:p@b/"}, "set one of them"),
        ({"hosts": ["a"], "password": CANARY}, "password needs a username"),
    ],
)
def test_what_does_not_fit_together_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text) as refused:
        broker(**values)
    assert CANARY not in str(refused.value)


def test_no_print_shows_the_user_or_the_password() -> None:
    settings = broker(hosts=["a"], username=CANARY, password=CANARY)
    for text in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
        repr(settings.urls),
    ):
        assert "c4narY" not in text


def test_a_new_password_is_used_while_the_hosts_stay() -> None:
    old = Settings(broker=broker(hosts=["a", "b"], username="u", password="old", vhost="v"))
    new = Settings(broker=broker(hosts=["a", "b"], username="u2", password="new", vhost="v"))
    assert renewed(old, new).broker.urls == new.broker.urls
    elsewhere = Settings(broker=broker(hosts=["a", "c"], username="u2", password="new", vhost="v"))
    assert renewed(old, elsewhere).broker == old.broker
