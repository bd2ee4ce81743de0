"""What the API is asked: the filters, and what each request has besides. The OpenAPI document is made from these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import GenericAlias
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta
from msgspec.structs import asdict
from multidict import MultiMapping

from controller.domain.selection import FILTERS, ROLLOUT_FILTERS, Filter, Selection, SelectionError, select, split

_POD = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
MAX_TEXT = 300
"""Characters of one filter."""
MAX_VALUES = 10_000
"""Texts of a filter that is repeatable."""
MAX_PROBLEM = 300
"""Characters of what is answered to a query that cannot be followed."""
_EXPECTED = re.compile(r"Expected `(int|float|bool|str)`(?:, got| (<=|>=) ([\d.]+))")
_BOUNDS = {"<=": "at most", ">=": "at least"}


class Query(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a request asks for."""


class DrainsOptions(Query):
    """Beside the filters, for a list."""

    limit: Annotated[int, Meta(ge=1, le=5_000, description="At most so many.")] = 500


class RolloutsOptions(Query):
    """Beside the filters, for a list of rollouts."""

    limit: Annotated[int, Meta(ge=1, le=500, description="At most so many.")] = 50


class Signed(Query):
    """Who asks for a change, and why, beside whose token it is."""

    reason: Annotated[str, Meta(max_length=2_000, description="Why; kept in the event log.")] = ""
    on_behalf_of: Annotated[
        str, Meta(max_length=100, description="The person who asks with a shared account's token; kept with its name.")
    ] = ""


class ReplayOptions(Signed):
    """Beside the filters, for a replay."""

    execute: Annotated[bool, Meta(description="Run it; else only its plan is made.")] = False
    again: Annotated[bool, Meta(description="Also what a worker still has under way.")] = False
    rps: Annotated[float, Meta(ge=0.01, le=1_000, description="Drains to send in a second.")] = 50.0


class DeadOptions(Signed, kw_only=True):
    """Beside the filters, for dead letters."""

    action: Annotated[
        Literal["requeue", "drop"], Meta(description="requeue: send them again; drop: take them out for good.")
    ]


class ByHandBody(Signed, kw_only=True):
    """One living pod that is to be taken out of service, or put back."""

    pod: Annotated[str, Meta(max_length=320, pattern=_POD, description="NAMESPACE/POD.")]


class EventsQuery(Query):
    """What server-sent events are wanted."""

    ends: Annotated[Literal["", "1"], Meta(description="1: the ends of drained pods, too.")] = ""


Q = TypeVar("Q", bound=Query)


def _field(one: Filter) -> tuple[str, Any, Any]:
    extra: dict[str, Any] = {"enum": list(one.choices)} if one.choices else {}
    extra |= {"pattern": one.pattern} if one.pattern else {}
    about = one.about
    if not one.repeatable:
        return one.name, Annotated[str, Meta(max_length=MAX_TEXT, description=about, extra_json_schema=extra)], ""
    text = Annotated[str, Meta(max_length=MAX_TEXT, extra_json_schema=extra)]
    texts = Annotated[GenericAlias(list, (text,)), Meta(max_length=MAX_VALUES, description=about)]  # type: ignore[valid-type]
    return one.name, texts, msgspec.field(default_factory=list)


def _with_filters(name: str, options: type[Q], filters: Iterable[Filter] = FILTERS) -> type[Q]:
    made = msgspec.defstruct(name, [_field(one) for one in filters], bases=(options,), kw_only=True)
    return cast("type[Q]", made)


Filters = _with_filters("Filters", Query)
DrainsQuery = _with_filters("DrainsQuery", DrainsOptions)
RolloutsQuery = _with_filters("RolloutsQuery", RolloutsOptions, ROLLOUT_FILTERS)
ReplayBody = _with_filters("ReplayBody", ReplayOptions)
DEAD_FILTERS = tuple(one for one in FILTERS if not one.needs_record)
DeadQuery = _with_filters("DeadQuery", Query, DEAD_FILTERS)
DeadBody = _with_filters("DeadBody", DeadOptions, DEAD_FILTERS)


def given_in(query: MultiMapping[Any], filters: Iterable[Filter] = FILTERS) -> dict[str, Any]:
    """Return what a URL or a form gives for each filter: one text, or a list where it is repeatable."""
    found = {one: split(one, [str(text) for text in query.getall(one.name, [])]) for one in filters}
    return {one.name: texts if one.repeatable else "".join(texts) for one, texts in found.items()}


def read(kind: type[Q], given: Mapping[str, Any], *, strict: bool = True) -> Q:
    """Read a query, a form (not ``strict``: texts become numbers) or a body; SelectionError names what is wrong."""
    lists = {one.name: [given[one.name]] for one in FILTERS if one.repeatable and isinstance(given.get(one.name), str)}
    try:
        return msgspec.convert({**given, **lists}, kind, strict=strict)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        name, words = place.rstrip("`"), _in_words(problem)
        if name == "pod":
            words = "write it as NAMESPACE/POD"
        raise SelectionError((f"{name}: {words}" if name else words)[:MAX_PROBLEM]) from None


def _in_words(problem: str) -> str:
    """Write for people what the library says of a value."""
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        return f"{unknown[1]}: no such parameter"
    found = _EXPECTED.match(problem)
    if found is None:
        return problem
    kind, sign, bound = found.groups()
    what = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}[kind]
    return f"write {what}{f' of {_BOUNDS[sign]} {bound}' if sign else ''}"


def selection_of(query: Query, now: datetime) -> Selection:
    """Read the filters of a query."""
    return select(asdict(query), now)
