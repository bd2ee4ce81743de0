"""The settings as a YAML file: those in force (``eureka-drain config``), or every default (config/controller.yaml).

The comments are the docstrings of the model; each group is explained where it is first used.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from controller.settings.group import SettingsGroup
from controller.settings.model import Settings
from controller.settings.sources import CONFIG_VARIABLE, SECRETS_VARIABLE
from controller.settings.tree import FREE_NAME, below, is_group, is_map

TITLE = """\
Every setting of eureka-drain with its default, made from the code by `make docs`. A file needs only what differs.
"""
INTRODUCTION = f"""\
A setting comes from the command line (`--set http.port=9090`), else from the environment, a secrets directory, a YAML
file (`--config FILE`, or `{CONFIG_VARIABLE}`), or it has its default; the first of these wins. A misspelt name is
an error that suggests the right one.

- Environment: `EUREKA_DRAIN_HTTP__PORT=9090`; groups are divided by `__`. `{FREE_NAME}` is a region's, a namespace's or
  an app's name; its hyphens are written `_`: `EUREKA_DRAIN_REGIONS__EU_WEST_1__TIMEOUT=5s`. Lists are written `a,b`.
- Secrets: `{SECRETS_VARIABLE}` names a directory with one file a setting, named as the variable without its
  prefix, in lower case: `broker__url`, `regions__eu__password`. Users, passwords and tokens are never printed.
- Certificates, keys, users, passwords and tokens in files are in use within seconds after they change; every other
  change needs a restart.
- Durations: `500ms`, `30s`, `5m`, `2h`, `30d`.
- Kubernetes is no setting: in-cluster credentials, else `KUBECONFIG`, else the default kubeconfig.
"""
MAX_WIDTH = 114
"""Characters in a line of comment, without its indentation."""


def plain(settings: Settings) -> str:
    """Return the settings as YAML, secrets masked."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def commented(settings: Settings) -> str:
    """Return the settings as YAML with an explanation of each, secrets masked."""
    return "\n".join(_lines(settings, set())).strip() + "\n"


def defaults() -> str:
    """Return the settings file that holds every default."""
    url = Settings().broker.url  # a default is nobody's secret
    text = commented(Settings()).replace(str(url), url.get_secret_value())
    return "\n".join(f"# {line}".rstrip() for line in f"{TITLE}\n{INTRODUCTION}".splitlines()) + f"\n\n{text}"


def description(field: FieldInfo) -> str:
    """Return the docstring of a setting, or that of its group, in one line."""
    kind = below(field.annotation, FREE_NAME) if is_map(field.annotation) else field.annotation
    text = field.description or (inspect.getdoc(kind) if is_group(kind) else "") or ""
    return " ".join(text.split()).replace("``", "`")


def _lines(group: SettingsGroup, explained: set[type]) -> Iterator[str]:
    """Yield the lines of a group with its comments; ``explained`` holds the groups that need none, and grows."""
    text = yaml.safe_dump(group.model_dump(mode="json"), sort_keys=False)
    before = defaultdict[int, list[str]](list)
    for number, comment in _comments(group, yaml.compose(text), explained):
        before[number].append(comment)
    for number, line in enumerate(text.split("\n")):
        yield from before[number]
        yield line


def _comments(group: SettingsGroup, node: Any, explained: set[type]) -> Iterator[tuple[int, str]]:
    """Yield comments, each with the number of the line that it stands before."""
    is_new = type(group) not in explained
    explained.add(type(group))
    for (name, field), (key, inner_node) in zip(type(group).model_fields.items(), node.value, strict=True):
        number, indent = key.start_mark.line, " " * key.start_mark.column
        value = getattr(group, name)
        if isinstance(group, Settings):
            yield number, ""
        if is_new:
            yield from ((number, f"{indent}# {line}") for line in textwrap.wrap(_text(field), MAX_WIDTH))
        if isinstance(value, SettingsGroup):
            yield from _comments(value, inner_node, explained)
        elif isinstance(value, dict):
            for inner, (_, one) in zip(value.values(), inner_node.value, strict=True):
                if isinstance(inner, SettingsGroup):
                    yield from _comments(inner, one, explained)
            if is_new and not value:
                yield from ((number + 1, f"{indent}#  {line}") for line in _example(group, name, field, explained))


def _example(group: SettingsGroup, name: str, field: FieldInfo, explained: set[type]) -> Iterator[str]:
    """Yield what a map may hold: a group in full and with comments if it needs them."""
    for example in field.examples or ():
        for key, value in getattr(type(group).model_validate({name: example}), name).items():
            if isinstance(value, SettingsGroup) and type(value) not in explained:
                yield f"{key}:"
                yield from (f"  {line}" for line in _lines(value, explained) if line)
            else:
                yield yaml.safe_dump({key: example[key]}, default_flow_style=None).strip()


def _text(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return description(field) + (f" One of {', '.join(choices)}." if choices else "")


if __name__ == "__main__":
    sys.stdout.write(defaults())
