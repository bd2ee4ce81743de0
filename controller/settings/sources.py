"""Where settings come from: command line, environment, secrets directory, YAML file, defaults, in this order.

Each name with our prefix must lead to a setting, or it is an error that names the one that was probably meant. No error
contains a value, which may be a secret.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from controller.bounds import MAX_FILE_BYTES
from controller.errors import SettingsError
from controller.settings.mistakes import explain
from controller.settings.model import Settings
from controller.settings.tree import FREE_NAME, below, is_group, is_map, leaves
from controller.settings.values import without_credentials

PREFIX = "EUREKA_DRAIN_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
SECRETS_VARIABLE = f"{PREFIX}SECRETS_DIR"
_SERVICE_LINK = re.compile(
    r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)", re.ASCII
)
"""What Kubernetes puts into pods for a Service named ``eureka-drain``: not ours, and nobody's mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where one process's settings come from; they can be read again."""

    config: Path | None = None
    assignments: Sequence[str] = field(default=(), repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def load(self) -> Settings:
        """Read the settings from every source; SettingsError holds one line a mistake, without any value."""
        problems: list[str] = []
        sources = [
            _from_assignments(self.assignments, problems),
            _from_environment(self.environ, problems),
            _from_secrets(self._secrets_folder, problems),
            _from_yaml(self._config_file, problems),
        ]
        try:
            settings = _merge(sources)
            if not problems:
                return settings
        except ValidationError as error:
            problems += explain(error)
        raise SettingsError([without_credentials(_one_line(problem)) for problem in problems])

    def files(self) -> list[Path]:
        """Return the files among them that exist now."""
        try:
            secrets = _secrets_in(self._secrets_folder) if self._secrets_folder else []
        except OSError:
            secrets = []
        return [*([self._config_file] if self._config_file else []), *secrets]

    @property
    def _config_file(self) -> Path | None:
        name = self.environ.get(CONFIG_VARIABLE)
        return self.config or (Path(name) if name else None)

    @property
    def _secrets_folder(self) -> Path | None:
        name = self.environ.get(SECRETS_VARIABLE)
        return Path(name) if name else None


def _one_line(problem: str) -> str:
    return problem if problem.isprintable() else problem.encode("unicode_escape").decode("ascii")


def _merge(sources: Sequence[dict[str, Any]]) -> Settings:
    """Merge the sources group by group; where two set a value, the earlier one wins."""

    class Merged(Settings, BaseSettings):
        model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

        @classmethod
        def settings_customise_sources(cls, *_: Any, **__: Any) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(cls, init_kwargs=_with_apps_folded(values)) for values in sources)

    merged = Merged()
    return Settings(**{name: getattr(merged, name) for name in Settings.model_fields})


def _with_apps_folded(values: dict[str, Any]) -> dict[str, Any]:
    """Lower-case the apps' names, as a variable's is anyhow: sources are merged app by app, whatever their case."""
    window = values.get("window")
    apps = window.get("apps") if isinstance(window, dict) else None
    if not isinstance(window, dict) or not isinstance(apps, dict):
        return values
    folded = {name.lower() if isinstance(name, str) else name: app for name, app in apps.items()}
    # An app that is there twice is kept, for the error that says so.
    return {**values, "window": {**window, "apps": folded}} if len(folded) == len(apps) else values


def _from_assignments(assignments: Sequence[str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        begin, equals, text = assignment.partition("=")
        # What follows the name may be a secret with a wrong sign before it.
        name = re.split(r"[^\w.-]", begin, maxsplit=1)[0]
        if not equals or name != begin:
            problems.append(f"--set {name}: write it as NAME=VALUE, for example --set http.port=9090")
        else:
            _assign(values, name, text, f"--set {name}", problems, separator=".")
    return values


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if not name.upper().startswith(PREFIX) or name.upper() in (CONFIG_VARIABLE, SECRETS_VARIABLE):
            continue
        path = name[len(PREFIX) :]
        if "__" in path or _SERVICE_LINK.fullmatch(path) is None:
            _assign(values, path, text, name, problems)
    return values


def _from_secrets(folder: Path | None, problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        for path in _secrets_in(folder) if folder else []:
            try:
                text = _read_file(path).strip("\r\n")
            except (OSError, UnicodeError, ValueError) as error:
                problems.append(f"secret {path.name}: cannot read it: {_why(error)}")
                continue
            name = path.name[len(PREFIX) :] if path.name.upper().startswith(PREFIX) else path.name
            _assign(values, name, text, f"secret {path.name}", problems)
    except (OSError, UnicodeError, ValueError) as error:
        problems.append(f"{SECRETS_VARIABLE}: cannot read {folder}: {_why(error)}")
    return values


def _secrets_in(folder: Path) -> list[Path]:
    """Return the secrets' files; Kubernetes keeps what it has mounted in folders that begin with a dot."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


class TwiceError(yaml.YAMLError):
    """A name that one group has twice: one of the two would not count."""


class _SettingsLoader(yaml.SafeLoader):
    """Refuses a name that is there twice, which YAML's own loader lets win over the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    both = f"lines {lines[key.value]} and {line}"
                    raise TwiceError(f"{key.value[:60]!r} is there twice, in {both}: only one counts")
                lines[key.value] = line
        return super().construct_mapping(node, deep)


def _from_yaml(config: Path | None, problems: list[str]) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        content = yaml.load(_read_file(config), _SettingsLoader)  # noqa: S506 - it is the safe one
    except TwiceError as error:
        problems.append(f"{config}: {error}")
        return {}
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


def _assign(
    values: dict[str, Any], path: str, text: str, source: str, problems: list[str], *, separator: str = "__"
) -> None:
    """Put the text where the path leads from the settings' root."""
    parts, names = path.split(separator), list[str]()
    kind: Any = Settings
    for part in parts:
        if not is_group(kind) and not is_map(kind):
            problems.append(f"{source}: {separator.join(names)} is a value and has nothing below it")
            return
        # Region and namespace names hold hyphens, which no shell allows in a variable's name.
        names.append(part.lower().replace("_", "-") if is_map(kind) else part.lower())
        kind = below(kind, names[-1])
        if kind is None:
            problems.append(f"{source}: no such setting{_suggestion(source, parts, separator)}")
            return
    group = values
    for depth, name in enumerate(names[:-1], start=1):
        group = group.setdefault(name, {})
        if not isinstance(group, dict):
            problems.append(f"{source}: {separator.join(names[:depth])} is set as a whole and in part")
            return
    group[names[-1]] = _value(text, kind)


def _value(text: str, kind: Any) -> Any:
    """Read lists, maps and groups that are written as JSON; leave every other text to the model."""
    if text[:1] in ("[", "{") and (is_group(kind) or is_map(kind) or get_origin(kind) is list):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _suggestion(source: str, parts: list[str], separator: str) -> str:
    """Name the setting that was probably meant, as it is written in this source."""
    known = set[str]()
    for path, _ in leaves():
        names = [parts[at] if name == FREE_NAME and at < len(parts) else name for at, name in enumerate(path)]
        depths = [at for at, name in enumerate(path) if name == FREE_NAME]  # a map can also be set as a whole
        known.update(separator.join(names[:depth]).lower() for depth in (*depths, len(path)))
    variable = source.startswith(PREFIX)
    if variable:
        known.update(name.removeprefix(PREFIX).lower() for name in (SECRETS_VARIABLE, CONFIG_VARIABLE))
    for meant in get_close_matches(separator.join(parts).lower(), sorted(known), n=1, cutoff=0.6):
        return f"; did you mean {PREFIX + meant.upper() if variable else meant}?"
    return f"; known are {', '.join(Settings.model_fields)}"
