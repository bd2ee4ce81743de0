"""The settings as a tree of names: groups hold named settings, maps hold names that the user chooses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from controller.settings.model import Settings

FREE_NAME = "NAME"
"""Stands for a name that the user chooses: a region's, a namespace's or an app's."""


def bare(annotation: Any) -> Any:
    """Return the type below ``Annotated``."""
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    return annotation


def is_group(kind: Any) -> bool:
    """Return whether the type is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_map(kind: Any) -> bool:
    """Return whether the type is a map from chosen names."""
    return get_origin(kind) is dict


def below(kind: Any, name: str) -> Any:
    """Return the type of what a group or a map has under this name; None if it has nothing there."""
    if is_map(kind):
        return bare(get_args(kind)[1])
    field = kind.model_fields.get(name) if is_group(kind) else None
    return field and bare(field.annotation)


def leaves(
    group: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield the path of every single setting, in the order of the code, and the field that describes it."""
    for name, field in group.model_fields.items():
        kind, here = bare(field.annotation), (*path, name)
        if is_map(kind):
            kind, here = below(kind, FREE_NAME), (*here, FREE_NAME)
        if is_group(kind):
            yield from leaves(kind, here)
        else:
            yield here, field
