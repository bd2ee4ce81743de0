"""What is wrong with settings, in words for the person who wrote them."""

from __future__ import annotations

import re
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from controller.domain.durations import format_duration
from controller.settings.model import Settings
from controller.settings.tree import below, is_group

_WORDS = {
    "missing": "this must be set",
    "model_type": "this is a group: write names with values below it",
    "model_attributes_type": "this is a group: write names with values below it",
    "dict_type": "this is a group: write names with values below it",
    "list_type": "write a list: [a, b], or in the environment a,b",
    "too_short": "this must not be empty",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "string_type": "write it in quotes: YAML takes it for something else than a text",
}
"""In place of the library's own words, which name its types."""
_LENGTH = re.compile(r"datetime\.timedelta\((?:seconds=|0)(\d*)\)")
"""As the library writes a duration."""
_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}


def explain(error: ValidationError) -> list[str]:
    """Return a line for each mistake, without any value: it may be a secret."""
    problems = []
    for mistake in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in mistake["loc"] if part != "[key]")
        if mistake["type"] == "extra_forbidden":
            known = _names_at(mistake["loc"][:-1])
            meant = get_close_matches(str(mistake["loc"][-1]), known, n=1, cutoff=0.5)
            problems.append(f"{where}: no such setting" + (f"; did you mean {meant[0]}?" if meant else ""))
        else:
            text = _bound_of(mistake) or _WORDS.get(mistake["type"]) or mistake["msg"].removeprefix("Value error, ")
            # A check of several settings together names them itself.
            problems.append(f"{where}: {text}" if where else text)
    return problems


def _bound_of(mistake: ErrorDetails) -> str:
    """Return in words what a number or a duration must not exceed; empty where that is not its fault."""
    words = _BOUNDS.get(mistake["type"])
    if words is None:
        return ""
    (bound,) = mistake["ctx"].values()
    return f"must be {words} {_LENGTH.sub(_written, str(bound))}"


def _written(length: re.Match[str]) -> str:
    return format_duration(timedelta(seconds=int(length[1] or 0)))


def _names_at(location: tuple[int | str, ...]) -> list[str]:
    kind: Any = Settings
    for part in location:
        kind = below(kind, str(part))
    return list(kind.model_fields) if is_group(kind) else []
