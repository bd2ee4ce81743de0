"""The settings as a YAML file: every default in config/controller.yaml, and what is in force as `config` prints it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.settings import Settings
from controller.settings.sources import Sources
from controller.settings.tree import leaves
from controller.settings.yaml_file import commented, defaults, description, plain
from tests.unit.other_settings import OTHER

REFERENCE = Path(__file__).parents[2] / "config" / "controller.yaml"
MASKED = (
    *(("broker", name) for name in ("url", "username", "password")),
    *(("regions", "eu", name) for name in ("nodes", "username", "password")),
)
TOKENS = ("ops", "viewer_token"), ("ops", "operator_token")


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(text)
    return Sources(config=file, environ=environ or {}).load()


def test_the_reference_file_is_made_from_the_code() -> None:
    assert REFERENCE.read_text() == defaults(), "run: make docs"


def test_the_reference_file_holds_exactly_the_defaults() -> None:
    assert Sources(config=REFERENCE, environ={}).load() == Settings()
    shown = Settings().model_dump(mode="json")
    shown["broker"]["url"] = Settings().broker.url.get_secret_value()
    assert yaml.safe_load(REFERENCE.read_text()) == shown


def test_the_reference_file_can_be_read_in_a_terminal() -> None:
    assert max(len(line) for line in REFERENCE.read_text().splitlines()) <= 120


def test_the_reference_file_explains_every_setting() -> None:
    words = " ".join(re.sub(r"^ *#[ #]*", "", line) for line in REFERENCE.read_text().splitlines())
    missing = [path for path, field in leaves() if description(field) not in words or f"{path[-1]}:" not in words]
    assert missing == [("routing", "namespaces", "NAME")], "a namespace has no setting of its own"
    assert "One of DEBUG, INFO, WARNING, ERROR." in words


def test_the_examples_of_the_reference_file_work(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^( *)#(  +\S)", r"\1\2", REFERENCE.read_text().split("\n\n", 1)[1])
    settings = loaded(tmp_path, re.sub(r"(?m)^( *(?:regions|namespaces|apps):) {}$", r"\1", text))
    region = settings.regions["eu"]
    assert [node.get_secret_value() for node in region.nodes] == [
        "http://eureka-0.eureka:8761/eureka",
        "http://eureka-1.eureka:8761/eureka",
    ]
    assert region == type(region)(nodes=region.nodes), "an example shows the defaults"
    assert settings.routing.namespaces == {"shop": ["eu"]}
    assert (set(settings.window.regions), set(settings.window.apps)) == ({"eu"}, {"ORDERS"})


@pytest.mark.parametrize("write", [plain, commented])
def test_what_is_in_force_can_be_loaded_again_but_for_secrets(tmp_path: Path, write: Any) -> None:
    settings = Settings.model_validate(OTHER)
    text = write(settings)
    shown = yaml.safe_load(text)
    assert shown["broker"]["url"] == "amqp://***@127.0.0.1:5672/"
    for group, name in TOKENS:
        assert shown[group].pop(name).strip("*") == "", "masked"
    again = loaded(tmp_path, yaml.safe_dump(shown))
    assert again.model_dump(mode="json", exclude={"ops"}) == settings.model_dump(mode="json", exclude={"ops"})
    environ = {f"EUREKA_DRAIN_{'__'.join(path).upper()}": secret(path) for path in (*MASKED, *TOKENS)}
    assert loaded(tmp_path, text, environ) == settings


def secret(path: tuple[str, ...]) -> str:
    value: Any = OTHER
    for part in path:
        value = value[part]
    return ",".join(value) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("write", [plain, commented])
@pytest.mark.parametrize("name", ["no", "1", "null", "on"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(tmp_path: Path, write: Any, name: str) -> None:
    given = {
        "broker": {"url": "amqp://b/"},
        "regions": {name: {"nodes": ["http://e:1"]}},
        "routing": {"namespaces": {name: [name]}},
    }
    own = {"window": {"apps": {name.upper(): {"client_fetch": "5s"}}, "regions": {name: {"server_cache": "0s"}}}}
    text = {"watch": {"cluster": name, "namespaces": [name], "label_selector": f"a={name} # b: {'long ' * 50}"}}
    settings = Settings.model_validate(given | own | text)
    assert loaded(tmp_path, write(settings)) == settings


@pytest.mark.parametrize("write", [plain, commented])
@pytest.mark.parametrize("name", ["a b: #c", "a\n\n  b", "\u00e9\u2028", "-", "?", "'", "x" * 300], ids=ascii)
def test_any_name_of_an_app_can_be_loaded_again(tmp_path: Path, write: Any, name: str) -> None:
    apps = {name.replace("\n", ""): {"client_fetch": "5s"}, "ORDERS": {}}
    given = {"window": {"apps": apps}, "routing": {"namespaces": {"shop": ["eu"]}}, "broker": {"url": "amqp://b/"}}
    settings = Settings.model_validate(given)
    assert loaded(tmp_path, write(settings)) == settings


def test_comments_add_nothing_but_comments_and_explain_a_group_once() -> None:
    nodes = {"nodes": ["http://e:1"]}
    settings = Settings.model_validate({"regions": {"eu": nodes, "us": nodes}})
    assert yaml.safe_load(commented(settings)) == yaml.safe_load(plain(settings))
    assert commented(settings).count("# Every node of the region") == 1
    assert "#" not in plain(settings)
