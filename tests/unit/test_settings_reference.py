"""The page of settings is made from the code, names every one of them, and what it says of each is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from controller.domain.durations import format_duration
from controller.errors import SettingsError
from controller.settings import Settings, WindowOverrideSettings
from controller.settings_reference import FREE_NAME, Setting, all_settings, rendered
from controller.settings_sources import load

ROOT = Path(__file__).parents[2]
ALL = all_settings()
NODES = {"EUREKA_DRAIN_REGIONS__EU__NODES": "http://eureka-0:8761/eureka"}
DEFAULTS = load(environ=NODES)
STEP = timedelta(milliseconds=1)
FREE = {"regions": "eu", "window.regions": "eu", "window": "ORDERS", "": "shop"}
each = pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)


def chosen(one: Setting) -> Setting:
    """With names where they are free: a region's that is configured here, an app's, or a namespace's."""
    name = next(name for of, name in FREE.items() if one.name.startswith(of))
    return replace(one, path=tuple(name if part == FREE_NAME else part for part in one.path))


def value_at(settings: Settings, one: Setting) -> Any:
    value: Any = settings
    for part in chosen(one).path:
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def given(one: Setting, text: str) -> Settings:
    return load(environ=NODES | {chosen(one).variable: text})


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == rendered(), "run: make docs"


def test_every_setting_of_the_reference_file_is_on_the_page_and_no_other() -> None:
    reference = yaml.safe_load((ROOT / "config" / "controller.yaml").read_text())

    def names(value: object, path: str) -> set[str]:
        if not isinstance(value, dict) or not value:
            return {path}
        return {name for key, inner in value.items() for name in names(inner, f"{path}.{key}".lstrip("."))}

    of_a_region = {f"regions.{FREE_NAME}.{name}" for name in type(DEFAULTS.regions["eu"]).model_fields}
    own = {
        f"window.{of}.{FREE_NAME}.{name}" for of in ("apps", "regions") for name in WindowOverrideSettings.model_fields
    }
    free = {"regions", "routing.namespaces", "window.apps", "window.regions"}
    expected = names(reference, "") - free | {f"routing.namespaces.{FREE_NAME}"}
    assert {one.name for one in ALL} == expected | of_a_region | own


@each
def test_every_setting_says_what_it_means(one: Setting) -> None:
    assert len(one.meaning) > 10, f"{one.name}: write a docstring below it in controller/settings.py"
    assert "\n" not in one.meaning


@each
def test_the_variable_is_the_one_that_is_read_and_the_default_can_be_written_so(one: Setting) -> None:
    if one.default is None:
        with pytest.raises(SettingsError, match="regions"):
            load(environ={"EUREKA_DRAIN_REGIONS__EU__TIMEOUT": "3s"})
    elif one.default:
        assert value_at(given(one, one.default), one) == value_at(DEFAULTS, one)
    elif FREE_NAME in one.path and one.path[0] == "routing":
        assert given(one, "eu").routing.namespaces == {"shop": ["eu"]}
    elif FREE_NAME in one.path and one.path[0] == "window":
        assert value_at(given(one, ""), one) is None
        assert value_at(given(one, "7s"), one) == timedelta(seconds=7)
    elif one.name in ("broker.cert_file", "broker.key_file"):
        assert value_at(DEFAULTS, one) is None
        with pytest.raises(SettingsError, match="belong together"):
            given(one, "/one.pem")
    elif one.kind == "file":
        assert value_at(DEFAULTS, one) is None
        assert value_at(given(one, "/ca.pem"), one) == Path("/ca.pem")
    else:
        assert value_at(given(one, ""), one) == value_at(DEFAULTS, one)


@pytest.mark.parametrize("one", [one for one in ALL if one.lowest is not None], ids=lambda one: one.name)
def test_the_lowest_value_is_taken_and_what_is_below_is_not(one: Setting) -> None:
    assert value_at(given(one, _may_have_override(one.lowest)), one) == one.lowest
    with pytest.raises(SettingsError, match=chosen(one).name):
        given(one, _may_have_override(_next(one.lowest, -1)))


@pytest.mark.parametrize("one", [one for one in ALL if one.highest is not None], ids=lambda one: one.name)
def test_the_highest_value_is_taken_and_what_is_above_is_not(one: Setting) -> None:
    assert value_at(given(one, _may_have_override(one.highest)), one) == one.highest
    with pytest.raises(SettingsError, match=chosen(one).name):
        given(one, _may_have_override(_next(one.highest, 1)))


@pytest.mark.parametrize("one", [one for one in ALL if one.above is not None], ids=lambda one: one.name)
def test_what_must_be_more_is_not_taken_when_it_is_not(one: Setting) -> None:
    with pytest.raises(SettingsError, match=chosen(one).name):
        given(one, _may_have_override(one.above))
    assert value_at(given(one, _may_have_override(_next(one.above, 1))), one) == _next(one.above, 1)


def test_there_are_bounds_to_check() -> None:
    assert sum(one.lowest is not None for one in ALL) > 5
    assert sum(one.above is not None for one in ALL) > 5


@each
def test_a_setting_is_marked_secret_when_and_only_when_it_is_masked(one: Setting) -> None:
    hidden = (
        "http://somebody:hush-hush-hush@eureka-0:8761/eureka" if one.kind.endswith("URL") else "hush-hush-hush-hush"
    )
    if one.name == "broker.url":
        hidden = hidden.replace("http://", "amqp://")
    if one.kind not in ("URL", "list: URL", "text"):
        assert not one.secret
        return
    if one.name == "tracing.endpoint":
        hidden = "http://hush-hush-hush:4318"
    shown = yaml.safe_dump(_dumped(given(one, hidden)))
    assert ("hush" not in shown) == one.secret


def _dumped(settings: BaseModel) -> Any:
    return settings.model_dump(mode="json")


def _next(bound: object, direction: int) -> Any:
    return bound + direction * (STEP if isinstance(bound, timedelta) else 1)  # type: ignore[operator]


def _may_have_override(bound: object) -> str:
    return format_duration(bound) if isinstance(bound, timedelta) else str(bound)
