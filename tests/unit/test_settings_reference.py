"""The page of settings is made from the code, names every one of them, and is right about each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.domain.durations import format_duration
from controller.errors import SettingsError
from controller.settings import Settings
from controller.settings.reference import Setting, all_settings, page
from controller.settings.sources import Sources
from controller.settings.tree import FREE_NAME
from controller.settings.yaml_file import description, plain
from tests.unit.other_settings import BY_HOSTS, OTHER

ROOT = Path(__file__).parents[2]
ALL = all_settings()
NODES = {"EUREKA_DRAIN_REGIONS__EU__NODES": "http://eureka-0:8761/eureka"}
DEFAULTS = Sources(environ=NODES).load()
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
    return Sources(environ=NODES | {chosen(one).variable: text}).load()


def written(value: Any) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def limits() -> Iterator[tuple[Setting, Any, Any]]:
    """Yield each limit: the last value that is taken, and the next one."""
    for one in ALL:
        for name, inside, outside in (("ge", 0, -1), ("le", 0, 1), ("gt", 1, 0)):
            if (bound := one.bound(name)) is not None:
                step = timedelta(milliseconds=1) if isinstance(bound, timedelta) else 1
                yield one, bound + inside * step, bound + outside * step


LIMITS = list(limits())


def test_the_page_is_made_from_the_code() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), "run: make docs"


def test_every_setting_is_on_the_page_and_no_other() -> None:
    def paths(value: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        inner = value.items() if isinstance(value, dict) else ()
        return {found for name, one in inner for found in paths(one, (*path, name))} or {path}

    assert {chosen(one).path for one in ALL} == paths(OTHER) | paths(BY_HOSTS)


@each
def test_every_setting_is_described(one: Setting) -> None:
    assert len(description(one.field)) > 10, f"{one.name}: write a docstring below it in controller/settings/model.py"


@each
def test_the_variable_is_read_and_takes_the_default(one: Setting) -> None:
    if one.default is None:
        with pytest.raises(SettingsError, match="regions"):
            Sources(environ={"EUREKA_DRAIN_REGIONS__EU__TIMEOUT": "3s"}).load()
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


@pytest.mark.parametrize(("one", "inside", "outside"), LIMITS, ids=lambda value: getattr(value, "name", str(value)))
def test_a_limit_is_taken_and_what_is_beyond_it_is_not(one: Setting, inside: Any, outside: Any) -> None:
    assert value_at(given(one, written(inside)), one) == inside
    with pytest.raises(SettingsError, match=chosen(one).name):
        given(one, written(outside))


def test_there_are_limits_to_check() -> None:
    assert len(LIMITS) > 15


@each
def test_a_setting_is_marked_secret_when_and_only_when_it_is_masked(one: Setting) -> None:
    hidden = (
        "http://somebody:hush-hush-hush@eureka-0:8761/eureka" if one.kind.endswith("URL") else "hush-hush-hush-hush"
    )
    if one.name == "broker.url":
        hidden = hidden.replace("http://", "amqp://")
    if one.kind not in ("URL", "list: URL", "text"):
        assert not one.is_secret
        return
    if one.name in ("tracing.endpoint", "ops.url"):
        hidden = "http://hush-hush-hush:4318"
    shown = plain(given(one, hidden))
    assert ("hush" not in shown) == one.is_secret
