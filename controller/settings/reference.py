"""The page docs/configuration.md: every setting with type, bounds, default, variable and meaning (``make docs``)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from controller.domain.durations import format_duration
from controller.settings.model import Settings
from controller.settings.sources import PREFIX
from controller.settings.tree import FREE_NAME, bare, below, is_map, leaves
from controller.settings.values import SecretUrl
from controller.settings.yaml_file import INTRODUCTION, description

HEAD = f"""\
# Configuration

{INTRODUCTION}
[config/controller.yaml](../config/controller.yaml) is a settings file with every default; `eureka-drain config` prints
the settings in force as such a file, secrets masked, and explains them with `--comments`. Both and this page are made
from the code by `make docs`.
"""
WORDS = {
    bool: "true or false",
    int: "number",
    str: "text",
    timedelta: "duration",
    Path: "file",
    SecretStr: "text",
    SecretUrl: "URL",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that can be set."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def name(self) -> str:
        """The name that ``--set`` takes."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return PREFIX + "__".join(part if part == FREE_NAME else part.upper() for part in self.path)

    @property
    def kind(self) -> str:
        """The type in a word, or the words to choose from."""
        leaf = _leaf(self._annotation)
        word = " or ".join(f"`{one}`" for one in get_args(leaf)) if get_origin(leaf) is Literal else WORDS[leaf]
        return f"list: {word}" if get_origin(self._annotation) is list else word

    @property
    def is_secret(self) -> bool:
        """Whether it, or a part of it, is never printed."""
        leaf = _leaf(self._annotation)
        return isinstance(leaf, type) and issubclass(leaf, SecretStr)

    @property
    def default(self) -> str | None:
        """The default as the environment has it; None: it must be given."""
        value = self.field.default
        if self.field.is_required():
            return None
        if value is None or isinstance(value, dict):
            return ""
        if isinstance(value, SecretStr):
            return value.get_secret_value()  # a default is nobody's secret
        if isinstance(value, list):
            return ",".join(value)
        return value if isinstance(value, str) else _text(value)

    def bound(self, name: str) -> Any:
        """Return a bound (``ge``, ``gt``, ``le``, ``max_length`` …); None if it has no such bound."""
        return next((getattr(one, name) for one in self.field.metadata if hasattr(one, name)), None)

    @property
    def type(self) -> str:
        """The type with its bounds, in words."""
        words = [self.kind, *(["*secret*"] if self.is_secret else [])]
        lowest, above, highest = (self.bound(name) for name in ("ge", "gt", "le"))
        if longest := self.bound("max_length"):
            words.append(f"{self.bound('min_length')} to {longest} characters")
        if above is not None:
            words.append(f"more than {_text(above)}")
        if lowest is not None:
            words.append(f"at least {_text(lowest)}" if highest is None else f"{lowest:,} to {highest:,}")
        return ", ".join(words)

    @property
    def _annotation(self) -> Any:
        return below(self.field.annotation, FREE_NAME) if is_map(self.field.annotation) else self.field.annotation


def all_settings() -> list[Setting]:
    """Return every setting, in the order of the code."""
    return [Setting(path, field) for path, field in leaves()]


def page() -> str:
    """Return the whole page: the settings without a group first, then the groups."""
    found = all_settings()
    parts = [HEAD, "## Without a group\n", *_table(one for one in found if len(one.path) == 1)]
    for name, field in Settings.model_fields.items():
        if members := [one for one in found if one.path[0] == name and len(one.path) > 1]:
            parts += [f"## {name}\n", f"{description(field)}\n", *_table(members)]
    return "\n".join(parts)


def _table(members: Iterable[Setting]) -> Iterator[str]:
    yield "| setting | type | default | variable | meaning |\n|---|---|---|---|---|"
    for one in members:
        default = "must be given" if one.default is None else f"`{one.default}`" if one.default else "empty"
        cells = (f"`{one.name}`", one.type, default, f"`{one.variable}`", description(one.field))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _leaf(annotation: Any) -> Any:
    """Return the type of a single value: of a list's elements, of what may be left empty."""
    kind = bare(annotation)
    return _leaf(get_args(kind)[0]) if get_origin(kind) in (list, UnionType, Union) else kind


def _text(value: Any) -> str:
    return format_duration(value) if isinstance(value, timedelta) else yaml.safe_dump(value).splitlines()[0]


if __name__ == "__main__":
    sys.stdout.write(page())
