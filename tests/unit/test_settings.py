"""The settings' values: units, bounds, lists, and what is kept from every print."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controller.settings import BrokerSettings, RegionSettings, SecretUrl, Settings

CANARY = "c4narY"


def test_without_any_setting_everything_has_a_default() -> None:
    settings = Settings()
    assert settings.broker.url.get_secret_value() == "amqp://guest:guest@127.0.0.1:5672/"
    assert (settings.watch.cluster, settings.watch.namespaces) == ("default", [])
    assert settings.watch.exclude_namespaces == ["kube-system"]
    assert (settings.retention, settings.remove) == (timedelta(minutes=5), True)
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 8080)
    assert (settings.sweep.policy, settings.broker.events_kept) == ("report", timedelta(days=30))


@pytest.mark.parametrize(
    "settings",
    [
        {"retention": 30},
        {"retention": True},
        {"retention": "30"},
        {"retention": "-1s"},
        {"retention": None},
        {"broker": {"timeout": "0s"}},
        {"retry": {"max_backoff": "10ms"}},
        {"http": {"port": 65_536}},
        {"http": {"port": "http"}},
        {"log": {"level": "LOUD"}},
        {"sweep": {"policy": "drian"}},
        {"watch": {"cluster": ""}},
        {"regions": {"EU": {"nodes": ["http://e:1"]}}},
        {"regions": {"eu.west": {"nodes": ["http://e:1"]}}},
        {"regions": {"eu": {"nodes": []}}},
        {"regions": {"eu": {}}},
        {"routing": {"default_regions": ["EU"]}},
        {"routing": {"namespaces": {"shop": ["e u"]}}},
        {"instance_id_templates": ["{host}"]},
        {"instance_id_templates": [""]},
        {"ops": {"viewer_token": "too-short"}},
        {"ops": {"operator_token": "x" * 3_501}},
        {"ops": {"operator_token": "two words in one token"}},
        {"ops": {"operator_token": "with-a-newline\nin-it"}},
        {"ops": {"operator_token": "no-ascii-\u00fc-in-this-token"}},
        {"ops": {"viewer_token": "the-same-for-both", "operator_token": "the-same-for-both"}},
        {"ops": {"anonymous_write": True}},
        {"window": {"server_cache": "-1s"}},
        {"window": {"apps": {"orders": {"client_fetch": 5}}}},
        {"window": {"apps": {"orders": {"fetch": "5s"}}}},
        {"window": {"apps": {"orders": {}, "ORDERS": {}}}},
        {"window": {"apps": {"a/b": {}}}},
        {"window": {"apps": {"": {}}}},
        {"window": {"apps": ["orders"]}},
        {"unknown": 1},
        {"http": {"prot": 1}},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "eureka:8761",
        "ftp://e/",
        "http://",
        "http://:80/",
        "http://e:x/",
        "http://e:0/",
        "http://e/?a=b",
        "http://e/#f",
    ],
)
def test_a_nodes_url_names_a_host_and_has_neither_query_nor_fragment(url: str) -> None:
    with pytest.raises(ValidationError):
        RegionSettings(nodes=[SecretUrl(url)])


@pytest.mark.parametrize("url", ["", "http://b/", "amqp://", "amqp:///vhost", "b:5672"])
def test_a_brokers_url_is_amqp_or_amqps_and_names_a_host(url: str) -> None:
    with pytest.raises(ValidationError):
        BrokerSettings(url=SecretUrl(url))


def test_a_nodes_url_may_end_with_a_slash() -> None:
    assert RegionSettings(nodes=[SecretUrl("http://e:1/eureka/")]).nodes[0].get_secret_value() == "http://e:1/eureka"


PASSWORDS = [
    CANARY,
    f"p@{CANARY}",
    f"{CANARY}@x",
    f"p%40{CANARY}",
    f"p:{CANARY}",
    f"1/{CANARY}",
    f"1?{CANARY}",
    f"1#{CANARY}",
    f"p//{CANARY}",
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["amqp", "http"])
def test_a_password_in_a_url_is_never_shown_whatever_its_characters(scheme: str, password: str) -> None:
    url = SecretUrl(f"{scheme}://user-{CANARY}:{password}@host.example/path")
    try:
        group = BrokerSettings(url=url) if scheme == "amqp" else RegionSettings(nodes=[url])
    except ValidationError:
        return  # a URL that means nothing; that its error shows no value is tested where errors are composed
    for shown in (str(group), repr(group), repr(url), str(url), group.model_dump_json(), str(group.model_dump())):
        assert CANARY not in shown


def test_the_host_of_a_masked_url_is_still_shown() -> None:
    assert str(SecretUrl("amqps://u:p@broker.example:5671/vhost")) == "amqps://***@broker.example:5671/vhost"
    assert str(SecretUrl("http://eureka-0:8761/eureka")) == "http://eureka-0:8761/eureka"


def test_credentials_beside_the_url_are_never_shown() -> None:
    region = RegionSettings(nodes=[SecretUrl("http://e:1")], username=f"user-{CANARY}", password=f"pass-{CANARY}")  # type: ignore[arg-type]
    settings = Settings(regions={"eu": region})
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert f"pass-{CANARY}" not in shown
    assert f"user-{CANARY}" not in shown


def test_the_tokens_of_ops_are_never_shown() -> None:
    tokens = {"viewer_token": f"viewer-{CANARY}-token", "operator_token": f"operator-{CANARY}-token"}
    settings = Settings(ops=tokens)  # type: ignore[arg-type]
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()} {settings.ops}"
    assert CANARY not in shown


@pytest.mark.parametrize("name", ["viewer_token", "operator_token"])
@pytest.mark.parametrize("token", [CANARY, f"{CANARY} with spaces in it", CANARY * 1_000])
def test_the_error_for_a_bad_token_does_not_show_it(name: str, token: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(ops={name: token})  # type: ignore[arg-type]
    assert "16 to 3500 visible" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    with pytest.raises(ValidationError):
        Settings().remove = False


def test_a_ca_file_is_a_path() -> None:
    assert BrokerSettings(ca_file=Path("/etc/ca.pem")).ca_file == Path("/etc/ca.pem")


def test_the_window_is_that_of_stock_caches_or_an_apps_own() -> None:
    window = Settings.model_validate({"window": {"apps": {"orders": {"client_fetch": "0s"}}}}).window
    stock = (timedelta(seconds=30), timedelta(seconds=30), timedelta(seconds=35))
    assert (window.server_cache, window.client_fetch, window.load_balancer) == stock
    own = window.apps["ORDERS"]
    assert (own.server_cache, own.client_fetch, own.load_balancer) == (None, timedelta(0), None)


@pytest.mark.parametrize("alone", ["cert_file", "key_file"])
def test_a_client_certificate_and_its_key_are_set_both_or_not_at_all(alone: str) -> None:
    with pytest.raises(ValidationError, match="cert_file and key_file belong together: set both, or none"):
        BrokerSettings(**{alone: Path("/etc/client.pem")})  # type: ignore[arg-type]
    assert BrokerSettings(cert_file=Path("/etc/c.pem"), key_file=Path("/etc/k.pem")).key_file == Path("/etc/k.pem")


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_place_of_a_url_has_neither_user_nor_password(password: str) -> None:
    assert SecretUrl(f"amqps://user:{password}@broker:5671/vhost").place == "amqps://broker:5671/vhost"
    assert SecretUrl("amqps://broker:5671/vhost").place == "amqps://broker:5671/vhost"


@pytest.mark.parametrize("left", [None, ""])
def test_an_apps_window_may_default_to_what_holds_for_all(left: str | None) -> None:
    window = Settings.model_validate({"window": {"apps": {"orders": {"client_fetch": left}}}}).window
    assert window.apps["ORDERS"].client_fetch is None
    assert window.model_dump(mode="json")["apps"]["ORDERS"]["client_fetch"] is None
