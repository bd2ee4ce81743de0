"""Where settings come from: command line, environment, secrets directory, YAML file, defaults, in this order.

pydantic-settings alone ignores a misspelt variable and a flat secret of a nested group, so the environment and the
secrets directory are read here: each name with our prefix must lead to a setting, or it is an error that says which one
was probably meant.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from controller.errors import SettingsError
from controller.settings import Settings

PREFIX = "EUREKA_DRAIN_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
SECRETS_VARIABLE = f"{PREFIX}SECRETS_DIR"
_SERVICE_LINK = re.compile(
    r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)", re.ASCII
)
"""What Kubernetes puts into pods for a Service named ``eureka-drain``: not ours, and no mistake of anybody's."""
MAX_FILE_BYTES = 1024 * 1024
"""Bytes of a settings file or a secret."""


class _Given(PydanticBaseSettingsSource):
    """A source whose values were read beforehand."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(_Loaded)
        self._values = values

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


class _Loaded(Settings, BaseSettings):
    """The settings as pydantic-settings merges them: earlier sources win, groups are merged key by key."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where one process's settings come from; they can be read again."""

    config: Path | None = None
    assignments: Sequence[str] = field(default=(), repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def load(self) -> Settings:
        """Read them all; SettingsError as ``load`` says."""
        return load(self.config, assignments=self.assignments, environ=self.environ)

    def files(self) -> list[Path]:
        """The files among them, as they are there now."""
        config = self.config or (Path(self.environ[CONFIG_VARIABLE]) if self.environ.get(CONFIG_VARIABLE) else None)
        folder = self.environ.get(SECRETS_VARIABLE, "")
        try:
            secrets = _secrets_in(Path(folder)) if folder else []
        except OSError:
            secrets = []
        return [*([config] if config else []), *secrets]


def load(
    config: Path | None = None,
    *,
    assignments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings from every source; SettingsError holds one line a mistake, without any value."""
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE])
    sources = [
        _from_assignments(assignments, problems),
        _from_environment(environ, problems),
        _from_secrets(environ.get(SECRETS_VARIABLE, ""), problems),
        _from_yaml(config, problems),
    ]
    settings = Settings()
    try:
        settings = _merge([_with_apps_folded(values) for values in sources])
    except ValidationError as error:
        problems += _explain(error)
    if problems:
        raise SettingsError([_one_line(problem) for problem in problems])
    return settings


def _one_line(problem: str) -> str:
    return problem if problem.isprintable() else problem.encode("unicode_escape").decode("ascii")


def _merge(sources: list[dict[str, Any]]) -> Settings:
    class Merged(_Loaded):
        @classmethod
        def settings_customise_sources(cls, *_: Any, **__: Any) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_Given(values) for values in sources)

    merged = Merged()
    return Settings(**{name: getattr(merged, name) for name in Settings.model_fields})


def _with_apps_folded(values: dict[str, Any]) -> dict[str, Any]:
    """Lower-case the apps' names, as a variable's is anyhow: sources are merged app by app, whatever their case."""
    window = values.get("window")
    apps = window.get("apps") if isinstance(window, dict) else None
    if not isinstance(window, dict) or not isinstance(apps, dict):
        return values
    folded = {name.lower() if isinstance(name, str) else name: app for name, app in apps.items()}
    # One that is there twice is kept, to be told.
    return {**values, "window": {**window, "apps": folded}} if len(folded) == len(apps) else values


def _from_assignments(assignments: Sequence[str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            # What follows the name may be a secret with a wrong sign before it.
            name = re.split(r"[^\w.-]", name, maxsplit=1)[0]
            problems.append(f"--set {name}: write it as NAME=VALUE, for example --set http.port=9090")
        else:
            _place(values, name.split("."), text, f"--set {name}", problems, ".")
    return values


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or name.upper() in (CONFIG_VARIABLE, SECRETS_VARIABLE):
            continue
        if "__" in name or _SERVICE_LINK.fullmatch(name[len(PREFIX) :]) is None:
            _place(values, name[len(PREFIX) :].split("__"), text, name, problems, "__")
    return values


def _from_secrets(folder: str, problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if not folder:
        return values
    try:
        for path in _secrets_in(Path(folder)):
            try:
                text = _read_file(path).strip("\r\n")
            except (OSError, UnicodeError, ValueError) as error:
                problems.append(f"secret {path.name}: cannot read it: {_why(error)}")
                continue
            name = path.name
            if name.upper().startswith(PREFIX):
                name = name[len(PREFIX) :]
            _place(values, name.split("__"), text, f"secret {path.name}", problems, "__")
    except (OSError, UnicodeError, ValueError) as error:
        problems.append(f"{SECRETS_VARIABLE}: cannot read {folder}: {_why(error)}")
    return values


def _secrets_in(folder: Path) -> list[Path]:
    """Kubernetes keeps what it has mounted in folders that begin with a dot."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


def _from_yaml(config: Path | None, problems: list[str]) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        content = yaml.safe_load(_read_file(config))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        # The composer and the constructor quote what they do not like, which may be a secret.
        what = f": {error.problem}" if isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError) else ""
        problems.append(f"{config}: not valid YAML{where}{what}")
        return {}
    except (OSError, UnicodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        problems.append(f"{config}: cannot read the settings file: {_why(error)}")
        return {}
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        problems.append(f"{config}: the settings file must hold names with values")
        return {}
    # A group that is named and left empty means its defaults.
    return {key: value for key, value in content.items() if value is not None}


def _read_file(path: Path) -> str:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    return path.read_text(encoding="utf-8")


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "not UTF-8 text" if isinstance(error, UnicodeError) else str(error)


def _place(
    values: dict[str, Any], parts: list[str], text: str, source: str, problems: list[str], separator: str
) -> None:
    """Walk from the settings' root along ``parts`` and put the text where they lead."""
    kind: Any = Settings
    here = values
    path: list[str] = []
    for position, part in enumerate(parts):
        name = part.lower()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if name not in kind.model_fields:
                problems.append(f"{source}: no such setting{_suggestion(source, parts, separator)}")
                return
            kind = _plain(kind.model_fields[name].annotation)
        elif get_origin(kind) is dict:
            # Region and namespace names hold hyphens, which no shell allows in a variable's name.
            name = name.replace("_", "-")
            kind = _plain(get_args(kind)[1])
        else:
            problems.append(f"{source}: {separator.join(path)} is a value and has nothing below it")
            return
        path.append(name)
        if position == len(parts) - 1:
            here[name] = _value(text, kind)
        else:
            inner = here.setdefault(name, {})
            if not isinstance(inner, dict):
                problems.append(f"{source}: {separator.join(path)} is set as a whole and in part")
                return
            here = inner


def _plain(annotation: Any) -> Any:
    """The type below ``Annotated``."""
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    return annotation


def _value(text: str, kind: Any) -> Any:
    """Lists and maps may be written as JSON; everything else is text that pydantic reads."""
    if text[:1] in "[{" and (
        get_origin(kind) in (list, dict) or (isinstance(kind, type) and issubclass(kind, BaseModel))
    ):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _suggestion(source: str, parts: list[str], separator: str) -> str:
    """Name the setting that was probably meant, as it is written in this source."""
    may_have_override = separator.join(parts).lower()
    paths = [separator.join(path) for path in _paths(Settings)]
    known = [*paths, *([SECRETS_VARIABLE, CONFIG_VARIABLE] if source.startswith(PREFIX) else [])]
    plain = {name.removeprefix(PREFIX).lower(): name for name in known}
    # A region's or namespace's name stands where the path has a star.
    asked = [
        may_have_override,
        separator.join(
            "*" if 0 < i < len(parts) - 1 and len(parts) > 2 else part.lower() for i, part in enumerate(parts)
        ),
    ]
    found = max((difflib.SequenceMatcher(None, word, name).ratio(), name) for word in asked for name in plain)
    if found[0] < 0.6:
        return f"; known are {', '.join(Settings.model_fields)}"
    words = plain[found[1]].split(separator)
    meant = separator.join(parts[at] if word == "*" and at < len(parts) else word for at, word in enumerate(words))
    if source.startswith(PREFIX):
        return f"; did you mean {PREFIX}{meant.removeprefix(PREFIX).upper()}?"
    return f"; did you mean {meant}?"


def _paths(kind: Any) -> list[list[str]]:
    """Every setting's path; a star stands for a name that is free."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found = []
        for name, field in kind.model_fields.items():
            found += [[name, *rest] for rest in _paths(_plain(field.annotation))]
        return found
    if get_origin(kind) is dict:
        return [[], *([["*", *rest] for rest in _paths(_plain(get_args(kind)[1]))])]
    return [[]]


def _nearest(name: str, known: Any) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), "")


def _explain(error: ValidationError) -> list[str]:
    problems = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in mistake["loc"] if part != "[key]")
        if mistake["type"] == "extra_forbidden":
            meant = _nearest(str(mistake["loc"][-1]), _fields_at(mistake["loc"][:-1]))
            problems.append(f"{where}: no such setting" + (f"; did you mean {meant}?" if meant else ""))
        else:
            text = mistake["msg"].removeprefix("Value error, ")
            # What several settings say together names them itself.
            problems.append(f"{where}: {text}" if where else text)
    return problems


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    kind: Any = Settings
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = _plain(kind.model_fields[str(part)].annotation)
        elif get_origin(kind) is dict:
            kind = _plain(get_args(kind)[1])
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
