"""The settings as a page, made from what the code says: ``make docs`` writes it to docs/configuration.md.

Types, bounds and defaults come from the models, meanings from the docstrings below the fields, which Python itself does
not keep: they are read from the source.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from controller import settings
from controller.domain.durations import format_duration
from controller.settings import Settings
from controller.settings_sources import CONFIG_VARIABLE, PREFIX, SECRETS_VARIABLE

FREE_NAME = "NAME"
"""Stands for what is chosen: a region's name, a namespace's, or an app's."""
HEAD = f"""\
# Configuration

Every setting may come from the command line (`--set http.port=9090`), from the environment, from a secrets directory,
from a YAML file (`--config FILE`, or `{CONFIG_VARIABLE}`), or is left at its default; what is named first here wins. A
name that does not exist is an error that says which one was probably meant. `eureka-drain config` prints what is in
force, secrets masked; [config/controller.yaml](../config/controller.yaml) is a file with every default.

- Variables: groups are divided by `__`. `{FREE_NAME}` is a region's, a namespace's or an app's name; its hyphens are
  written `_`. Lists are written `a,b`.
- Secrets: `{SECRETS_VARIABLE}` names a directory with one file a setting, called as in the environment without the
  prefix, in lower case: `broker__url`, `regions__eu__password`. Settings marked *secret* are never printed; of a URL
  it is the user and the password that are not.
- Durations: `500ms`, `30s`, `5m`, `2h`, `30d`.
- Kubernetes is no setting: in-cluster credentials, else `KUBECONFIG`, else the default kubeconfig.

This page is made from the code by `make docs`.
"""
Bound = int | timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value that can be set."""

    path: tuple[str, ...]
    kind: str
    default: str | None
    """As it is written in the environment; None: it must be given."""
    meaning: str
    secret: bool
    lowest: Bound | None = None
    above: Bound | None = None
    """As ``lowest``, and not this value itself."""
    highest: Bound | None = None

    @property
    def name(self) -> str:
        """As ``--set`` takes it."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """As the environment has it."""
        return PREFIX + "__".join(part if part == FREE_NAME else part.upper() for part in self.path)

    @property
    def type(self) -> str:
        """Its type with its bounds, in words."""
        words = [f"{self.kind}, *secret*" if self.secret else self.kind]
        if self.above is not None:
            words.append(f"more than {_amount(self.above)}")
        if self.lowest is not None:
            words.append(
                f"at least {_amount(self.lowest)}"
                if self.highest is None
                else f"{_amount(self.lowest)} to {_amount(self.highest)}"
            )
        return ", ".join(words)


def all_settings() -> list[Setting]:
    """Every value, in the order of the code."""
    return list(_below(Settings, ()))


def rendered() -> str:
    """The whole page: what stands alone first, then the groups."""
    found = all_settings()
    alone = [one for one in found if len(one.path) == 1]
    parts = [HEAD, "## On their own\n", _table(alone)]
    for name, field in Settings.model_fields.items():
        members = [one for one in found if one.path[0] == name and len(one.path) > 1]
        if members:
            group = _model_of(field.annotation) or Settings
            parts += [f"## {name}\n", f"{_plain(inspect.getdoc(group) or '')}\n", _table(members)]
    return "\n".join(parts)


def _table(members: list[Setting]) -> str:
    rows = ["| setting | type | default | variable | meaning |", "|---|---|---|---|---|"]
    for one in members:
        default = "must be given" if one.default is None else f"`{one.default}`" if one.default else "empty"
        cells = (f"`{one.name}`", one.type, default, f"`{one.variable}`", one.meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _below(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Setting]:
    meanings = _docstrings()[model.__name__]
    for name, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        here = (*path, name)
        if get_origin(field.annotation) is dict:
            here = (*here, FREE_NAME)
        if inner is not None:
            yield from _below(inner, here)
        else:
            yield _setting(here, field, meanings.get(name, ""))


def _setting(path: tuple[str, ...], field: FieldInfo, meaning: str) -> Setting:
    annotation = get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field.annotation
    return Setting(
        path=path,
        kind=_kind(annotation) + _length(field),
        default=_may_have_override(field),
        meaning=meaning,
        secret=_is_secret(annotation),
        lowest=_bound(field, "ge"),
        above=_bound(field, "gt"),
        highest=_bound(field, "le"),
    )


def _bound(field: FieldInfo, name: str) -> Any:
    return next((getattr(one, name) for one in field.metadata if hasattr(one, name)), None)


def _length(field: FieldInfo) -> str:
    longest = _bound(field, "max_length")
    return f", {_bound(field, 'min_length') or 0} to {longest} characters" if longest is not None else ""


def _kind(annotation: Any) -> str:
    annotation = _bare(annotation)
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list: {_kind(get_args(annotation)[0])}"
    if get_origin(annotation) in (UnionType, Union):
        return next(_kind(part) for part in get_args(annotation) if part is not NoneType)
    known = {bool: "true or false", int: "number", timedelta: "duration", str: "text", Path: "file"}
    if annotation in known:
        return known[annotation]
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return "URL" if issubclass(annotation, settings.SecretUrl) else "text"
    raise TypeError(f"no word for {annotation}: teach it here")


def _is_secret(annotation: Any) -> bool:
    annotation = _bare(annotation)
    if get_origin(annotation) is list:
        return _is_secret(get_args(annotation)[0])
    return isinstance(annotation, type) and issubclass(annotation, SecretStr)


def _bare(annotation: Any) -> Any:
    """The type below ``Annotated``."""
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    return annotation


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The group that a field is, or that it has many of."""
    if get_origin(annotation) is dict:
        annotation = _bare(get_args(annotation)[1])
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _may_have_override(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value = field.default
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()  # a default is nobody's secret
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else yaml.safe_dump(value).splitlines()[0]


def _amount(bound: Bound) -> str:
    return format_duration(bound) if isinstance(bound, timedelta) else f"{bound:,}"


def _docstrings() -> dict[str, dict[str, str]]:
    """What stands below each field, by class and field."""
    found: dict[str, dict[str, str]] = {}
    for one in ast.parse(inspect.getsource(settings)).body:
        if isinstance(one, ast.ClassDef):
            fields = found.setdefault(one.name, {})
            for field, text in zip(one.body, one.body[1:], strict=False):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        fields[name] = _plain(words)
                    case _:
                        continue
    return found


def _plain(docstring: str) -> str:
    return " ".join(docstring.split()).replace("``", "`")


if __name__ == "__main__":
    sys.stdout.write(rendered())
